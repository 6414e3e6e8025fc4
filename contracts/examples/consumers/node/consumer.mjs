// A department's consumer: each message of its feed once, in order, remembered in one write with what was done.
//
// Reads FEED_KAFKA (HOST:PORT), FEED_TOPIC, FEED_KEYS (a JWK Set with the private keys), FEED_STATE (a file that is kept)
// and FEED_GROUP, where one signs in also FEED_USER, FEED_PASSWORD_FILE and FEED_SECURITY; tells one line of JSON for
// each effect.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { compactDecrypt, importJWK } from "jose";
import { Kafka, logLevel } from "kafkajs";

const { FEED_KAFKA, FEED_TOPIC, FEED_KEYS, FEED_STATE, FEED_GROUP = "example" } = process.env;
const { FEED_USER, FEED_PASSWORD_FILE, FEED_SECURITY = "SASL_SSL" } = process.env;
const OFFERED = "feed.request-offered.v1";
const WITHDRAWN = "feed.request-withdrawn.v1";
const ALGORITHMS = { keyManagementAlgorithms: ["ECDH-ES+A256KW"], contentEncryptionAlgorithms: ["A256GCM"] };

const empty = { last: {}, requests: {}, aside: {} };
const state = existsSync(FEED_STATE) ? JSON.parse(readFileSync(FEED_STATE, "utf8")) : empty;
const waiting = {}; // key -> number -> a message that came before the one that it follows

function keep() {
  writeFileSync(`${FEED_STATE}.new`, JSON.stringify(state), { mode: 0o600 });
  renameSync(`${FEED_STATE}.new`, FEED_STATE);
}

async function decrypt(value) {
  const ours = async ({ kid }) => {
    const key = JSON.parse(readFileSync(FEED_KEYS, "utf8")).keys.find((one) => one.kid === kid);
    if (!key) throw new Error(`no key ${kid}`);
    return importJWK(key, "ECDH-ES+A256KW");
  };
  const { plaintext } = await compactDecrypt(value, ours, ALGORITHMS);
  return JSON.parse(new TextDecoder().decode(plaintext));
}

/** Do what the event asks for; tells what was done, null for a type that is not known. */
async function act({ id, type, value }) {
  if (type !== OFFERED && type !== WITHDRAWN) return null;
  let event;
  try {
    event = await decrypt(value);
  } catch {
    state.aside[id] = value.toString(); // not for us: a person looks at it, the feed goes on
    return { effect: "set-aside", id };
  }
  if (type === WITHDRAWN) {
    delete state.requests[event.ref];
    return { effect: "withdrawn", id, ref: event.ref };
  }
  state.requests[event.offer.ref] = event;
  return { effect: "offered", id, ref: event.offer.ref, need_type: event.offer.need_type };
}

/** Act on this message, and on those that waited for it; on one that is known already do nothing. */
async function take(key, number, message) {
  const queue = (waiting[key] ??= {});
  queue[number] = message;
  let last = state.last[key] ?? number - 1;
  for (const one of Object.keys(queue)) if (Number(one) <= last) delete queue[one];
  while (queue[last + 1]) {
    last += 1;
    const done = await act(queue[last]);
    delete queue[last];
    state.last[key] = last;
    for (const [ref, event] of Object.entries(state.requests))
      if (Date.parse(event.delete_by) < Date.now()) delete state.requests[ref];
    keep();
    if (done) console.log(JSON.stringify(done));
  }
}

const signedIn = FEED_USER
  ? {
      sasl: { mechanism: "scram-sha-512", username: FEED_USER, password: readFileSync(FEED_PASSWORD_FILE, "utf8").trim() },
      ssl: FEED_SECURITY !== "SASL_PLAINTEXT",
    }
  : {};
const kafka = new Kafka({ brokers: [FEED_KAFKA], logLevel: logLevel.ERROR, ...signedIn });
const groupId = `${FEED_GROUP}-${process.pid}`; // a group of this process: nobody waits for one that crashed
const consumer = kafka.consumer({ groupId, sessionTimeout: 6000, heartbeatInterval: 1000, maxWaitTimeInMs: 100 });
await consumer.connect();
// From the beginning, and nothing committed: what was done is in the state, and not in the broker's offsets.
await consumer.subscribe({ topic: FEED_TOPIC, fromBeginning: true });
await consumer.run({
  autoCommit: false,
  eachMessage: async ({ message }) => {
    const { ce_id: id, ce_type: type, ce_number: number } = message.headers;
    if (!id || !type || !(Number(number) > 0) || !message.key || !message.value) {
      console.log(JSON.stringify({ "set aside at offset": message.offset, why: "not a numbered CloudEvent" }));
      return;
    }
    await take(message.key.toString(), Number(number), { id: id.toString(), type: type.toString(), value: message.value });
  },
});
