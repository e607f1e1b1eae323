// node invoke.cjs <bundle> <event> <times>: calls a handler as Lambda does, and gives its answer and times as JSON.

const { readFileSync } = require("node:fs");
const { resolve } = require("node:path");

const [bundle, event, times] = process.argv.slice(2);
const { handle } = require(resolve(bundle));

async function main() {
  const [wall, cpu] = [[], []];
  let answer;
  for (let call = 0; call < Number(times); call++) {
    const [startedAt, used] = [performance.now(), process.cpuUsage()];
    answer = await handle(JSON.parse(readFileSync(event)));
    wall.push(performance.now() - startedAt);
    const { user, system } = process.cpuUsage(used);
    cpu.push((user + system) / 1000);
  }
  const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024;
  console.log(JSON.stringify({ answer, wall_ms: wall, cpu_ms: cpu, peak_mib: peak }));
  process.exit(0); // Lambda freezes the process; kept-alive connections would hold it open here
}

main();
