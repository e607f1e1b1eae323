// What ours gives, by sharp: WebP of 512 and 128 pixels, and a JPEG of 512 with transparency on white.
// .rotate() turns the picture upright, as ours does.

const QUALITY = 80;

const square = (sharp, data) => sharp(data).rotate().resize(512, 512, { fit: "cover" });
const small = (picture) => picture.resize(128, 128);
const jpeg = (picture) => picture.flatten({ background: "white" }).jpeg({ quality: QUALITY });
const webp = (effort) => (picture) => picture.webp({ quality: QUALITY, effort }).toBuffer();

// Decodes once and makes every output of the pixels: the fastest way there is with more than one output.
const cascade = (effort) => async (sharp, data) => {
  const { data: pixels, info } = await square(sharp, data).raw().toBuffer({ resolveWithObject: true });
  const raw = { width: info.width, height: info.height, channels: info.channels };
  const picture = () => sharp(pixels, { raw });
  return Promise.all([webp(effort)(picture()), webp(effort)(small(picture())), jpeg(picture()).toBuffer()]);
};

// As sharp's documentation shows it: the pipeline is cloned, and each clone decodes for itself.
const clones = (effort) => async (sharp, data) => {
  const picture = square(sharp, data);
  const [large, stable] = [webp(effort)(picture.clone()), jpeg(picture.clone()).toBuffer()];
  return Promise.all([large, webp(effort)(sharp(data).rotate().resize(128, 128)), stable]);
};

exports.VARIANTS = {
  "one decode, effort 2": cascade(2), // effort 2 is our method 2
  "one decode, effort 4": cascade(4), // sharp's default
  "clones, effort 2": clones(2),
};
