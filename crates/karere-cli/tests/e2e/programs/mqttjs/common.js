// What the programs share: the command line, a connection, and waiting for one event at a time.

const mqtt = require("mqtt");

// `--port 1883 --version 5` as { port: 1883, version: 5 }.
const options = {};
for (let at = 2; at < process.argv.length; at += 2) {
  options[process.argv[at].slice(2)] = Number(process.argv[at + 1]);
}

// One line for a person and for the test.
function say(...things) {
  console.log(things.map((thing) => (typeof thing === "string" ? thing : JSON.stringify(thing))).join(" "));
}

function connect(more = {}) {
  return mqtt.connect({
    host: "127.0.0.1",
    port: options.port,
    protocolVersion: options.version ?? 5,
    protocolId: options.version === 3 ? "MQIsdp" : "MQTT",
    reconnectPeriod: 0,
    ...more,
  });
}

// The next event of that name, as the list of its arguments.
function next(client, name) {
  return new Promise((resolve, reject) => {
    client.once("error", reject);
    client.once(name, (...things) => {
      client.removeListener("error", reject);
      resolve(things);
    });
  });
}

// Everything the client receives, to be taken one message at a time.
function inbox(client) {
  const waiting = [];
  const arrived = [];
  client.on("message", (topic, payload, packet) => {
    const message = { topic, payload: payload.toString(), packet };
    if (waiting.length > 0) {
      waiting.shift()(message);
    } else {
      arrived.push(message);
    }
  });
  return {
    next: () => (arrived.length > 0 ? Promise.resolve(arrived.shift()) : new Promise((r) => waiting.push(r))),
  };
}

// Runs a program; whatever goes wrong ends it with 1.
function main(program) {
  program().then(
    () => process.exit(0),
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
}

module.exports = { connect, inbox, main, next, options, say };
