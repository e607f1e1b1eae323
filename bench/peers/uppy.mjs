// A photo sent by Uppy's XHR upload, as its documentation shows it, and then the wait for the avatar.
import Compressor from "@uppy/compressor";
import Uppy from "@uppy/core";
import XHRUpload from "@uppy/xhr-upload";

const FIRST_PAUSE_MS = 1500;
const PAUSE_MS = 1000;

export async function sendByUppy(file, { apiUrl, token, compress }) {
  const call = async (method, path, content) => {
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    const response = await fetch(apiUrl + path, { method, headers, body: content && JSON.stringify(content) });
    return { status: response.status, body: await response.json().catch(() => ({})) };
  };
  const uppy = new Uppy();
  if (compress) uppy.use(Compressor);
  let uploadId;
  uppy.addPreProcessor(async ([id]) => {
    const { type, size } = uppy.getFile(id);
    const { body } = await call("POST", "/avatars/key_upload", { content_type: type, size });
    uploadId = body.upload_id;
    const allowedMetaFields = Object.keys(body.fields);
    uppy.setFileState(id, { meta: body.fields, xhrUpload: { endpoint: body.url, allowedMetaFields } });
  });
  uppy.use(XHRUpload, { endpoint: "set for each file", getResponseData: () => ({}) });
  uppy.addFile({ name: file.name, type: file.type, data: file });
  const { failed } = await uppy.upload();
  if (failed.length) throw new Error(failed[0].error);
  let { body } = await call("POST", `/avatars/uploads/${uploadId}/finish`);
  for (let pause = FIRST_PAUSE_MS; body.status !== "ready"; pause = PAUSE_MS) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    ({ body } = await call("GET", `/avatars/uploads/${uploadId}`));
  }
  return { manifest: body.avatar, bytes: uppy.getFiles()[0].size };
}
