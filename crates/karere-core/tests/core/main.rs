//! The state machines together: clients against a broker in virtual time, without sockets.

mod broker;
mod chunking;
mod cut;
mod model;
mod network;
mod noise;
mod order;
mod packets;
mod watch;
