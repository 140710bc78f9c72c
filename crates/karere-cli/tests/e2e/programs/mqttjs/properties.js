// Version 5: the properties of a message, a subscription identifier, topic aliases in both directions.

const { connect, inbox, main, next, say } = require("./common");

main(async () => {
  const client = connect({
    clientId: "",
    autoAssignTopicAlias: true,
    properties: { topicAliasMaximum: 10, sessionExpiryInterval: 60, userProperties: { program: "properties.js" } },
  });
  const [connack] = await next(client, "connect");
  say("named by the broker", connack.properties.assignedClientIdentifier.length > 0);
  const messages = inbox(client);

  await client.subscribeAsync("order/#", { qos: 1, properties: { subscriptionIdentifier: 4711 } });
  const properties = {
    contentType: "text/plain",
    responseTopic: "order/answer",
    correlationData: Buffer.from("no-17"),
    messageExpiryInterval: 600,
    payloadFormatIndicator: true,
    userProperties: { shop: ["kiwi", "moa"], aisle: "7" },
  };
  await client.publishAsync("order/new", "kumara", { qos: 1, properties });
  const { topic, payload, packet } = await messages.next();
  const got = packet.properties;
  say(topic, payload, got.contentType, got.responseTopic, got.correlationData.toString(), got.payloadFormatIndicator);
  say(got.userProperties, got.subscriptionIdentifier, got.messageExpiryInterval >= 590);

  // The first message of a topic tells its alias, the others go without the topic's name.
  const sent = [];
  client.on("packetsend", (packet) => packet.cmd === "publish" && sent.push(packet.topic));
  for (const number of [1, 2, 3]) {
    await client.publishAsync("order/aliased", `number ${number}`, { qos: 1 });
    const message = await messages.next();
    say(message.topic, message.payload);
  }
  say("without a name", sent.filter((name) => name === "").length);
  await client.endAsync();
});
