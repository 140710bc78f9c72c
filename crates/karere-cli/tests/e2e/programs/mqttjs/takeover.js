// Two clients of one name: the first is told why it must go.

const { connect, inbox, main, next, say } = require("./common");

main(async () => {
  const first = connect({ clientId: "same" });
  await next(first, "connect");
  const told = next(first, "disconnect");
  const second = connect({ clientId: "same" });
  await next(second, "connect");
  const [{ reasonCode }] = await told;
  say("told", reasonCode);
  const messages = inbox(second);
  await second.subscribeAsync("notes", { qos: 1 });
  await second.publishAsync("notes", "hello", { qos: 1 });
  say((await messages.next()).payload);
  await second.endAsync();
});
