//! What every scenario stands on: brokers, tools, and programs that run beside the test.

mod broker;
mod folder;
mod matrix;
mod peers;
mod running;
mod scene;

pub(crate) use broker::{Broker, Kind, free_port, karere};
pub(crate) use folder::Folder;
pub(crate) use matrix::{for_each_face_and_broker, for_each_route, for_each_tool_and_broker};
pub(crate) use peers::{Paho, mqttjs};
pub(crate) use running::{Finished, Running};
pub(crate) use scene::{Scene, Tool};
