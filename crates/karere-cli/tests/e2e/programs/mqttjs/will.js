// Leaves a will, says that it is connected, and waits for its sudden end.

const { connect, next, say } = require("./common");

const will = { topic: "will/victim", payload: "gone", qos: 1, retain: true };
next(connect({ clientId: "victim", will }), "connect").then(() => say("connected"));
