// node render.cjs <picture> <variant> <folder for the outputs> <seconds>: warm times in process, as JSON.

const { readFileSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");
const sharp = require("sharp");
const { SIZES, VARIANTS } = require("./outputs.cjs");

const [path, variant, folder, seconds] = process.argv.slice(2);

async function main() {
  sharp.cache(false); // of files that were read: here the bytes come from memory, and are others each time in Lambda
  const data = readFileSync(path);
  const names = [...SIZES.map((size) => `${size}.webp`), "stable.jpg"];
  const outputs = await VARIANTS[variant](sharp, data);
  outputs.forEach((output, index) => writeFileSync(join(folder, names[index]), output));
  await VARIANTS[variant](sharp, data);

  const [wall, cpu] = [[], []];
  const end = performance.now() + 1000 * Number(seconds);
  while (wall.length < 3 || performance.now() < end) {
    const [startedAt, used] = [performance.now(), process.cpuUsage()];
    await VARIANTS[variant](sharp, data);
    wall.push(performance.now() - startedAt);
    const { user, system } = process.cpuUsage(used);
    cpu.push((user + system) / 1000);
  }
  console.log(JSON.stringify({ wall_ms: Math.min(...wall), cpu_ms: Math.min(...cpu) }));
}

main();
