// The work of presign_upload with the SDK: a POST policy for one key, one type and a bounded size.

const { randomUUID } = require("node:crypto");
const { S3Client } = require("@aws-sdk/client-s3");
const { createPresignedPost } = require("@aws-sdk/s3-presigned-post");

const { UPLOADS_BUCKET, MAX_UPLOAD_BYTES } = process.env;
const client = new S3Client({});

exports.handle = async (event) => {
  const { content_type: type } = JSON.parse(event.body);
  const id = randomUUID();
  const { url, fields } = await createPresignedPost(client, {
    Bucket: UPLOADS_BUCKET,
    Key: `incoming/${event.requestContext.authorizer.lambda.sub}/${id}`,
    Conditions: [["content-length-range", 1, Number(MAX_UPLOAD_BYTES)]],
    Fields: { "Content-Type": type },
    Expires: 300,
  });
  return { statusCode: 200, body: JSON.stringify({ upload_id: id, url, fields }) };
};
