// What ours gives, by sharp: WebP of each of SIZES, largest first, and a JPEG of 512 pixels with transparency on white.
// .rotate() turns the picture upright, as ours does.

const QUALITY = 80;
const STABLE = 512;
const SIZES = process.env.SIZES.split(",").map(Number);

const square = (sharp, data, edge) => sharp(data).rotate().resize(edge, edge, { fit: "cover" });
const shrunk = (picture, edge, size) => (size === edge ? picture : picture.resize(size, size));
const jpeg = (picture) => picture.flatten({ background: "white" }).jpeg({ quality: QUALITY }).toBuffer();
const webp = (picture, effort) => picture.webp({ quality: QUALITY, effort }).toBuffer();

// Decodes once and makes every output of the pixels: the fastest way there is with more than one output.
const cascade = (effort) => async (sharp, data) => {
  const edge = Math.max(STABLE, ...SIZES);
  const { data: pixels, info } = await square(sharp, data, edge).raw().toBuffer({ resolveWithObject: true });
  const raw = { width: info.width, height: info.height, channels: info.channels };
  const picture = (size) => shrunk(sharp(pixels, { raw }), edge, size);
  return Promise.all([...SIZES.map((size) => webp(picture(size), effort)), jpeg(picture(STABLE))]);
};

// As sharp's documentation shows it: the pipeline is cloned, and each clone decodes for itself.
const clones = (effort) => async (sharp, data) => {
  const picture = sharp(data).rotate();
  const clone = (size) => picture.clone().resize(size, size, { fit: "cover" });
  return Promise.all([...SIZES.map((size) => webp(clone(size), effort)), jpeg(clone(STABLE))]);
};

exports.SIZES = SIZES;
exports.VARIANTS = {
  "one decode, effort 2": cascade(2), // effort 2 is our method 2
  "one decode, effort 4": cascade(4), // sharp's default
  "clones, effort 2": clones(2),
};
