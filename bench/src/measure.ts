/** Runs one measurement and prints what came of it as JSON: `measure <name> <rounds> <milliseconds>`. */
import { DOM0_COSTS, MEASUREMENTS } from './measurements';

const [name = '', rounds, milliseconds] = process.argv.slice(2);
const measure = MEASUREMENTS.get(name) ?? DOM0_COSTS.get(name);
if (measure === undefined) throw new Error(`no measurement is called ${name}`);
const measured = await measure({ rounds: Number(rounds), milliseconds: Number(milliseconds) });
process.stdout.write(JSON.stringify(measured));
