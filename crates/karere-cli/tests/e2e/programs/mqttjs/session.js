// A connection that breaks and comes back by itself to its session, and what was published meanwhile.

const { connect, inbox, main, next, options, say } = require("./common");

main(async () => {
  const durable = options.version === 5 ? { properties: { sessionExpiryInterval: 600 } } : {};
  const collector = connect({ clientId: "collector", clean: false, reconnectPeriod: 500, resubscribe: false, ...durable });
  const publisher = connect({ clientId: "publisher" });
  const [[first]] = await Promise.all([next(collector, "connect"), next(publisher, "connect")]);
  say("session present", first.sessionPresent);
  const messages = inbox(collector);
  await collector.subscribeAsync("notes", { qos: 2 });

  collector.stream.destroy();
  await next(collector, "close");
  for (const qos of [1, 2]) {
    await publisher.publishAsync("notes", `at ${qos}`, { qos });
  }
  const [second] = await next(collector, "connect");
  say("session present", second.sessionPresent);
  const received = [(await messages.next()).payload, (await messages.next()).payload];
  say(received.sort());
  await Promise.all([collector.endAsync(), publisher.endAsync()]);
});
