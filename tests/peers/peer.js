'use strict';
// A peer of a StatefulSet: keeps what is POSTed to it, and on GET / answers with the data of all peers that there are.
//
// Peers find each other by the SRV records of their headless Service, anew for every request: nothing is remembered.
// Plain Node, no packages. SERVICE is the name to ask for, ADDRESS and PORT are where to listen, and DNS_SERVER
// (host:port) is asked in place of the system's resolver.

const { Resolver } = require('node:dns').promises;
const http = require('node:http');
const os = require('node:os');

const service = process.env.SERVICE || 'kubia.default.svc.cluster.local';
const address = process.env.ADDRESS || '0.0.0.0';
const port = Number(process.env.PORT || 8080);
const name = process.env.PEER || os.hostname();

const resolver = new Resolver({ timeout: 1000, tries: 3 });
if (process.env.DNS_SERVER) resolver.setServers([process.env.DNS_SERVER]);

let data = 'nothing yet';

async function body(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

async function ask({ name: target, port: targetPort }) {
  const [host] = await resolver.resolve4(target);
  return new Promise((resolve, reject) => {
    const request = http.get({ host, port: targetPort, path: '/data', agent: false, timeout: 2000 }, (response) => {
      body(response).then((text) => resolve(`${target.split('.')[0]}: ${text}`), reject);
    });
    request.on('timeout', () => request.destroy(new Error('no answer in time')));
    request.on('error', reject);
  });
}

async function everyone() {
  const peers = await resolver.resolveSrv(service);
  const answers = await Promise.all(peers.map((peer) => ask(peer).catch((error) => `${peer.name}: ${error.message}`)));
  return `${peers.length} peers\n${answers.sort().join('\n')}\n`;
}

const server = http.createServer((request, response) => {
  const send = (status, text) => response.writeHead(status, { 'content-type': 'text/plain' }).end(text);
  const fail = (error) => send(500, `${error.message}\n`);
  if (request.method === 'POST') {
    body(request).then((text) => { data = text; send(200, `stored on ${name}\n`); }, fail);
  } else if (request.url === '/data') {
    send(200, data);
  } else {
    everyone().then((text) => send(200, text), fail);
  }
});

server.listen(port, address, () => console.log(`${name} listens on ${address}:${port}`));
process.on('SIGTERM', () => process.exit(0));
