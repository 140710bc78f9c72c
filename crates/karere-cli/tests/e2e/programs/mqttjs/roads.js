// One message there and back at the address given, over whatever its scheme says.

const fs = require("fs");
const mqtt = require("mqtt");

const { inbox, main, next, say } = require("./common");

const [url, version, ca] = process.argv.slice(2);

main(async () => {
  const client = mqtt.connect(url, {
    protocolVersion: Number(version),
    reconnectPeriod: 0,
    ca: ca ? fs.readFileSync(ca) : undefined,
  });
  await next(client, "connect");
  const messages = inbox(client);
  await client.subscribeAsync("roads", { qos: 1 });
  // The second lies across frames of the broker's.
  for (const payload of ["hello", "x".repeat(300000)]) {
    await client.publishAsync("roads", payload, { qos: 1 });
    const { payload: got } = await messages.next();
    say(got.length, got.slice(0, 5));
  }
  await client.endAsync();
});
