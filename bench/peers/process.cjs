// An upload in, the same outputs and a manifest out: the work of process_avatar, without its guards against late and
// repeated events, and without telling anybody. Bundled with the SDK's client; sharp stays outside, as its pages advise.

const { GetObjectCommand, PutObjectCommand, S3Client } = require("@aws-sdk/client-s3");
const sharp = require("sharp");
const { SIZES, VARIANTS } = require("./outputs.cjs");

const { UPLOADS_BUCKET, ASSETS_BUCKET, AWS_ENDPOINT_URL_S3 } = process.env;
const client = new S3Client({
  endpoint: AWS_ENDPOINT_URL_S3,
  forcePathStyle: true,
  requestChecksumCalculation: "WHEN_REQUIRED", // the SDK's default costs time
  responseChecksumValidation: "WHEN_REQUIRED",
});
const put = (Key, Body, ContentType, CacheControl) =>
  client.send(new PutObjectCommand({ Bucket: ASSETS_BUCKET, Key, Body, ContentType, CacheControl }));

exports.handle = async (event) => {
  const { key } = JSON.parse(event.Records[0].body).Records[0].s3.object;
  const [, subject, version] = key.split("/");
  const { Body } = await client.send(new GetObjectCommand({ Bucket: UPLOADS_BUCKET, Key: key }));
  const data = Buffer.from(await Body.transformToByteArray());
  const outputs = await VARIANTS["one decode, effort 2"](sharp, data);
  const stable = outputs.pop();
  const images = SIZES.map((size, index) => [size, outputs[index]]);
  await Promise.all([
    ...images.map(([size, image]) =>
      put(`avatars/${subject}/${version}/${size}.webp`, image, "image/webp", "public, max-age=31536000, immutable"),
    ),
    put(`avatars/${subject}.jpg`, stable, "image/jpeg", "public, max-age=60"),
  ]);
  const manifest = { subject, version, images: images.map(([size, image]) => ({ size, bytes: image.length })) };
  await put(`avatars/${subject}.json`, JSON.stringify(manifest), "application/json", "public, max-age=60");
  return {};
};
