// An HTTP/2 server with the fake AWS' certificate, for what Python's library has not: argument: the folder of good.pem.
// Prints its port. Answers a request only when `wanted` of them are there at once (argument two), and says in the body
// how many connections there have been.
import { createSecureServer } from 'node:http2';
import { readFileSync } from 'node:fs';

const [, , folder, wanted] = process.argv;
const server = createSecureServer({
  key: readFileSync(`${folder}/good.key`),
  cert: readFileSync(`${folder}/good.pem`),
  allowHTTP1: false,
});
let connections = 0;
const waiting = [];
server.on('session', () => { connections += 1; });
server.on('stream', (stream) => {
  stream.on('error', () => {});
  waiting.push(stream);
  if (waiting.length < Number(wanted)) return;
  for (const each of waiting.splice(0)) {
    each.respond({ ':status': 200, 'content-type': 'text/xml' });
    each.end(`<R><Connections>${connections}</Connections></R>`);
  }
});
process.stdin.on('end', () => process.exit(0)).resume();
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
