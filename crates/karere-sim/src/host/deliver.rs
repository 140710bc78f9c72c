//! From a publisher to whoever is to have it.

use std::cell::Cell;
use std::rc::Rc;

use karere_broker::store::MessageRef;
use karere_core::broker::{Delivered, Grant, Presence, Routed, SharedTarget, Target};
use karere_core::codec::{Message, PacketId, QoS};
use karere_core::{Instant, Text};
use karere_store::Key;

use super::Host;
use super::sessions::Move;
use crate::agenda::Step;
use crate::around::Around;
use crate::fault::Fault;
use crate::history::{Note, number_of};

/// A message on its way.
pub(super) struct Parcel {
    pub(super) message: Message,
    pub(super) expires_at: Option<Instant>,
    /// The publisher's Client Identifier.
    pub(super) publisher: Option<Text>,
    /// The connection that waits if a reader does not keep up.
    pub(super) wire: Option<usize>,
    /// Its number in the store; 0 while it has none.
    pub(super) tag: Cell<u64>,
    /// Something of the messages that it came with is on its way to the disk.
    pub(super) stored: Rc<Cell<bool>>,
}

impl Parcel {
    pub(super) fn as_stored(&self) -> MessageRef<'_> {
        MessageRef { message: &self.message, expires_at: self.expires_at, publisher: self.publisher.as_ref() }
    }
}

impl Host {
    /// To all of its targets, in one step with what a publisher that is stored will find of it: all of that is
    /// on the disk or nothing.
    pub(super) fn deliver_as_one(
        &mut self,
        around: &mut Around,
        session: u32,
        parcel: &Parcel,
        targets: &[Target<u32>],
        packet_id: PacketId,
    ) {
        let split = around.faults.is(Fault::SplitGroup);
        if let Some(vault) = self.vault.as_mut().filter(|_| !split) {
            vault.group();
        }
        targets.iter().for_each(|target| self.deliver(around, parcel, target));
        self.finish_delivery(around, parcel, None);
        if split {
            let (now, vault) = (around.now, self.vault.as_mut());
            vault.into_iter().filter(|_| now.is_multiple_of(2)).for_each(|vault| vault.take(around));
        }
        self.receive(around, session, packet_id);
        parcel.stored.set(true);
        if let Some(vault) = &mut self.vault {
            vault.end_group();
        }
        self.tell_targets(around, targets);
    }

    /// To one target.
    pub(super) fn deliver(&mut self, around: &mut Around, parcel: &Parcel, target: &Target<u32>) {
        match target {
            Target::Session { session, grant } => {
                let counts = parcel.message.qos.min(grant.qos) > QoS::AtMostOnce;
                if counts && around.faults.strikes(Fault::DropAcknowledged) {
                    return;
                }
                let times = if around.faults.strikes(Fault::DeliverTwice) { 2 } else { 1 };
                for _ in 0..times {
                    self.hand_over(around, *session, parcel, grant, Presence::Any);
                }
            }
            Target::Shared(target) => self.share(around, target, parcel),
        }
    }

    /// It has been delivered to all; `will`: what is removed from the store with it.
    pub(super) fn finish_delivery(&mut self, around: &mut Around, parcel: &Parcel, will: Option<Key>) {
        let Some(vault) = &mut self.vault else { return };
        let tag = parcel.tag.get();
        if tag > 0 || will.is_some() {
            vault.append(around, |ledger, batch| {
                ledger.release(batch, tag);
                will.into_iter().for_each(|key| batch.remove(key));
            });
        }
    }

    /// Has those who were given something told when it is durable.
    pub(super) fn tell_targets(&mut self, around: &mut Around, targets: &[Target<u32>]) {
        for target in targets {
            match target {
                Target::Session { session, .. } => self.tell_later(around, *session),
                Target::Shared(target) => {
                    let members: Vec<u32> = target.in_turn().map(|member| member.session).collect();
                    members.into_iter().for_each(|session| self.tell_later(around, session));
                }
            }
        }
    }

    /// To the first member that takes it: one that is attached, else one whose session keeps it.
    fn share(&mut self, around: &mut Around, target: &SharedTarget<u32>, parcel: &Parcel) {
        let all = around.faults.strikes(Fault::ShareWithAll);
        for presence in [Presence::Attached, Presence::Any] {
            for member in target.in_turn() {
                let how = self.hand_over(around, member.session, parcel, &member.grant, presence);
                if !matches!(how, Delivered::Absent | Delivered::Ended) && !all {
                    return;
                }
            }
        }
    }

    /// Finds other members for messages that one could not keep [MQTT-4.8.2-5]. A message is in the store with the one
    /// or with the other, always.
    pub(super) fn redistribute(&mut self, around: &mut Around, moves: Vec<Move>) {
        for Move { from, delivery } in moves {
            let target = self.router.next_turn(delivery.key);
            let mut message = delivery.message;
            message.qos = delivery.qos;
            let given = delivery.stored.map_or(0, |entry| entry.tag);
            let parcel = Parcel {
                message,
                expires_at: delivery.expires_at,
                publisher: None,
                wire: None,
                tag: Cell::new(given),
                stored: Rc::default(),
            };
            if let Some(vault) = &mut self.vault {
                vault.group();
            }
            target.iter().for_each(|target| self.share(around, target, &parcel));
            if let Some(vault) = &mut self.vault {
                vault.append(around, |ledger, batch| {
                    if let (Some(entry), Some(from)) = (&delivery.stored, from) {
                        ledger.moved(batch, from, entry);
                    }
                    if given == 0 {
                        // It got one on the way.
                        ledger.release(batch, parcel.tag.get());
                    }
                });
                vault.end_group();
            }
            let targets: Vec<_> = target.into_iter().map(Target::Shared).collect();
            self.tell_targets(around, &targets);
        }
    }

    /// A fault: what was sent at QoS 2 to a member whose connection is lost goes to another as well.
    pub(super) fn move_qos2(&mut self, around: &mut Around, from: u32) {
        let sent = std::mem::take(&mut self.places[from as usize].shared);
        let mut targets = Vec::new();
        for message in sent {
            if !around.faults.strikes(Fault::MoveQoS2) {
                continue;
            }
            self.router.route(None, &message.topic, &mut targets);
            for target in &targets {
                let Target::Shared(target) = target else { continue };
                let Some(member) = target.in_turn().find(|member| member.session != from) else { continue };
                let parcel = Parcel {
                    message: message.clone(),
                    expires_at: None,
                    publisher: None,
                    wire: None,
                    tag: Cell::default(),
                    stored: Rc::default(),
                };
                self.hand_over(around, member.session, &parcel, &member.grant, Presence::Any);
            }
        }
    }

    fn hand_over(
        &mut self,
        around: &mut Around,
        session: u32,
        parcel: &Parcel,
        grant: &Grant,
        presence: Presence,
    ) -> Delivered {
        let message = &parcel.message;
        let how = self.put_into(around, session, parcel, grant, presence);
        let group = grant.shared.is_some();
        if let Some(number) = number_of(&message.payload) {
            around.note(Note::Given { session, message: number, group, how });
        }
        let place = &mut self.places[session as usize];
        let taken = matches!(how, Delivered::Taken | Delivered::Kept { .. } | Delivered::Held { .. });
        if group && taken && message.qos.min(grant.qos) == QoS::ExactlyOnce {
            place.shared.push(message.clone());
        }
        let terms = |qos, retain| {
            place.booked.as_ref().map(|booked| booked.session.terms(qos, retain, grant)).unwrap_or_default()
        };
        match how {
            Delivered::Kept { sequence, qos, retain } if self.vault.is_some() => {
                let terms = terms(qos, retain);
                self.keep(around, session, sequence, &terms, (parcel.tag.get(), &parcel.as_stored()));
                parcel.stored.set(true);
            }
            Delivered::Held { number, qos, retain } if self.vault.is_some() => {
                let terms = terms(qos, retain);
                self.hold(around, session, number, terms, parcel.tag.get());
                parcel.stored.set(true);
            }
            Delivered::Kept { sequence, .. } => {
                self.store(around, session, Step::SlotKept(session, sequence));
            }
            Delivered::Held { number, .. } => self.store(around, session, Step::SlotHeld(session, number)),
            _ => {}
        }
        self.book_events(around, session);
        if let (Delivered::Pressure, Some(publisher)) = (how, parcel.wire) {
            self.services[publisher].pressed.push(session);
        }
        self.flush_of(around, session);
        how
    }

    fn put_into(
        &mut self,
        around: &mut Around,
        session: u32,
        parcel: &Parcel,
        grant: &Grant,
        presence: Presence,
    ) -> Delivered {
        let now = self.now(around);
        let slot = &mut self.places[session as usize].slot;
        let mut routed = Routed::with_expiry(&parcel.message, parcel.expires_at, &mut self.scratch);
        let Some(vault) = &mut self.vault else {
            routed.set_tag(1);
            return slot.deliver(now, &mut routed, grant, presence);
        };
        routed.set_tag(parcel.tag.get());
        let how = slot.deliver(now, &mut routed, grant, presence);
        if how != Delivered::NeedsTag {
            return how;
        }
        parcel.tag.set(vault.append(around, |ledger, batch| ledger.message(batch, &parcel.as_stored())));
        routed.set_tag(parcel.tag.get());
        slot.deliver(now, &mut routed, grant, presence)
    }
}
