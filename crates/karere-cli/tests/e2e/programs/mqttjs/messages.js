// Every QoS, a retained message, and unsubscribing.

const { connect, inbox, main, next, say } = require("./common");

main(async () => {
  const client = connect();
  await next(client, "connect");
  const messages = inbox(client);

  const granted = await client.subscribeAsync({ "level/0": { qos: 0 }, "level/1": { qos: 1 }, "level/2": { qos: 2 } });
  say("granted", granted.map(({ topic, qos }) => `${topic}=${qos}`));
  for (const qos of [0, 1, 2]) {
    await client.publishAsync(`level/${qos}`, `sent at ${qos}`, { qos });
    const { topic, payload, packet } = await messages.next();
    say(topic, payload, packet.qos, packet.retain);
  }

  await client.publishAsync("shelf/a", "apple", { qos: 1, retain: true });
  await client.subscribeAsync("shelf/#", { qos: 1 });
  const kept = await messages.next();
  say(kept.topic, kept.payload, kept.packet.retain);
  await client.publishAsync("shelf/a", "", { qos: 1, retain: true });
  say("cleared", (await messages.next()).payload === "");

  await client.unsubscribeAsync("level/1");
  await client.publishAsync("level/1", "unheard", { qos: 1 });
  await client.publishAsync("level/2", "heard", { qos: 2 });
  say((await messages.next()).payload);
  await client.endAsync();
});
