"""Leaves a will, says that it is connected, and waits for its sudden end."""

import time

from common import arguments, new_client

options = arguments()
client = new_client(options, "victim")
client.will_set("will/victim", "gone", qos=1, retain=True)
client.on_connect = lambda *_: print("connected")
client.connect(options.host, options.port)
client.loop_start()
time.sleep(60)
