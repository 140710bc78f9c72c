//! One scenario, many tests: each combination of peers is a test with a name of its own.

/// Makes a test of each scenario (a function of `&Scene`) for every way a message can go. The modules are named
/// publisher, broker, subscriber: `messages::karere_mosquitto_karere::retained`.
macro_rules! for_each_route {
    ($($scenario:ident)*) => {
        crate::harness::for_each_route!(@ mosquitto_mosquitto_mosquitto: Mosquitto Mosquitto Mosquitto: $($scenario)*);
        crate::harness::for_each_route!(@ mosquitto_karere_mosquitto: Mosquitto Karere Mosquitto: $($scenario)*);
        crate::harness::for_each_route!(@ mosquitto_karere_karere: Mosquitto Karere Karere: $($scenario)*);
        crate::harness::for_each_route!(@ karere_karere_mosquitto: Karere Karere Mosquitto: $($scenario)*);
        crate::harness::for_each_route!(@ karere_karere_karere: Karere Karere Karere: $($scenario)*);
        crate::harness::for_each_route!(@ karere_mosquitto_karere: Karere Mosquitto Karere: $($scenario)*);
        crate::harness::for_each_route!(@ karere_mosquitto_mosquitto: Karere Mosquitto Mosquitto: $($scenario)*);
        crate::harness::for_each_route!(@ mosquitto_mosquitto_karere: Mosquitto Mosquitto Karere: $($scenario)*);
    };
    (@ $name:ident: $publisher:ident $broker:ident $subscriber:ident: $($scenario:ident)*) => {
        mod $name {
            use crate::harness::{Kind, Scene, Tool};
            $(#[test]
            fn $scenario() {
                super::$scenario(&Scene::new(Tool::$publisher, Kind::$broker, Tool::$subscriber));
            })*
        }
    };
}

/// Makes a test of each scenario (a function of `&Scene`) for each tool with each broker:
/// `flags::karere_with_mosquitto::a_timeout_is_27`.
macro_rules! for_each_tool_and_broker {
    ($($scenario:ident)*) => {
        crate::harness::for_each_route!(@ mosquitto_with_mosquitto: Mosquitto Mosquitto Mosquitto: $($scenario)*);
        crate::harness::for_each_route!(@ mosquitto_with_karere: Mosquitto Karere Mosquitto: $($scenario)*);
        crate::harness::for_each_route!(@ karere_with_mosquitto: Karere Mosquitto Karere: $($scenario)*);
        crate::harness::for_each_route!(@ karere_with_karere: Karere Karere Karere: $($scenario)*);
    };
}

/// Makes a test of each scenario (a function of `Paho` and `&Broker`) for each generation of paho with each broker.
macro_rules! for_each_face_and_broker {
    ($($scenario:ident)*) => {
        crate::harness::for_each_face_and_broker!(@ v1_with_mosquitto: V1 Mosquitto: $($scenario)*);
        crate::harness::for_each_face_and_broker!(@ v2_with_mosquitto: V2 Mosquitto: $($scenario)*);
        crate::harness::for_each_face_and_broker!(@ v2_old_callbacks_with_mosquitto: V2OldCallbacks Mosquitto: $($scenario)*);
        crate::harness::for_each_face_and_broker!(@ v1_with_karere: V1 Karere: $($scenario)*);
        crate::harness::for_each_face_and_broker!(@ v2_with_karere: V2 Karere: $($scenario)*);
        crate::harness::for_each_face_and_broker!(@ v2_old_callbacks_with_karere: V2OldCallbacks Karere: $($scenario)*);
    };
    (@ $name:ident: $face:ident $broker:ident: $($scenario:ident)*) => {
        mod $name {
            use crate::harness::{Broker, Kind, Paho};
            $(#[test]
            fn $scenario() {
                super::$scenario(Paho::$face, &Broker::start(Kind::$broker));
            })*
        }
    };
}

pub(crate) use {for_each_face_and_broker, for_each_route, for_each_tool_and_broker};
