// Prints what the AsyncAPI Initiative's parser says of the document named by the first argument, as JSON.
import { Parser, fromFile } from "@asyncapi/parser";

const { document, diagnostics } = await fromFile(new Parser(), process.argv[2]).parse();
const channels = document ? document.channels().all().length : 0;
const said = diagnostics.map(({ severity, code, message, path }) => ({ severity, code, message, path }));
process.stdout.write(JSON.stringify({ channels, said }));
