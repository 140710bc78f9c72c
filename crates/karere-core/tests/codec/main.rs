//! The codec against generated packets, against noise, and against two other codecs.

mod generate;
mod mqtt_protocol_core;
mod mqute;
mod noise;
mod normal;
mod round_trip;
