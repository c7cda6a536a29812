// Asks two outside judges about one https server, and prints what they say as JSON.
//   node grade.mjs DIRECTORY HOST:PORT       DIRECTORY holds node_modules; NODE_EXTRA_CA_CERTS names the authority
import { existsSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [directory, host] = process.argv.slice(2);
const modules = resolve(directory, "node_modules");
const observatory = join(modules, "@mdn/mdn-http-observatory");

// Its list of preloaded hosts is fetched when it is installed with scripts; localhost is on none.
const preloaded = join(observatory, "conf/hsts-preload.json");
if (!existsSync(preloaded)) writeFileSync(preloaded, "{}");

const { scan } = await import(pathToFileURL(join(observatory, "src/scanner/index.js")));
const { scan: graded, tests } = await scan(host);

const require = createRequire(join(modules, "x.cjs"));
const { CspParser } = require("csp_evaluator/dist/parser.js");
const { CspEvaluator, DEFAULT_CHECKS, STRICTCSP_CHECKS } = require("csp_evaluator/dist/evaluator.js");
const { Severity } = require("csp_evaluator/dist/finding.js");
const policy = graded.responseHeaders["content-security-policy"] ?? "";
const findings = new CspEvaluator(new CspParser(policy).csp).evaluate(DEFAULT_CHECKS, STRICTCSP_CHECKS);

console.log(
  JSON.stringify({
    grade: graded.grade,
    score: graded.score,
    failed: Object.entries(tests).filter(([, test]) => !test.pass).map(([name, test]) => `${name}: ${test.result}`),
    modifiers: Object.fromEntries(
      Object.entries(tests).filter(([, test]) => test.scoreModifier).map(([name, test]) => [name, test.scoreModifier]),
    ),
    findings: policy === "" ? ["HIGH: no policy"] : findings.map(
      ({ severity, directive, value, description }) =>
        `${Severity[severity]}: ${directive}${value ? ` ${value}` : ""}: ${description.split(". ")[0]}`,
    ),
  }),
);
