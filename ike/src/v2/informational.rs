//! Exchanges of an established IKE SA: requests and answers in the window (RFC 7296 §1.4, §2.3).

use std::net::IpAddr;
use std::time::Instant;

use super::channel::{Channel, Unopened};
use super::collision::{self, Occupation, Wish};
use super::hints;
use super::payloads::{self, Datagram};
use super::redirect;
use super::rekey::Asked;
use super::state::{Closing, Common, Established, Refused, State};
use super::timers::Timer;
use super::window::{Arrival, Window};
use crate::engine::Engine;
use crate::rejection::{error, unsupported};
use crate::wire::Payload;
use crate::wire::registry::{exchange, notify, protocol};
use crate::{DropCause, Outage, Reason, Side, Stage};

/// What a request means for the IKE SA once it is answered.
enum Verdict {
    /// It stays.
    Stays,
    /// The peer closed it.
    Ends(Outage),
    /// The peer broke it beyond repair; we close the rest.
    Closes(Outage),
    /// The peer sends us to another gateway.
    Redirects(IpAddr),
}

/// Where a message stands in the window.
enum Place {
    Request,
    Repeated,
    Answer,
}

/// Judges what can be judged before anything is decrypted.
fn place(window: &Window, datagram: &Datagram) -> Result<Place, DropCause> {
    let header = &datagram.header;
    if header.is_response() {
        let awaited = window.awaits(header.message_id);
        return awaited
            .then_some(Place::Answer)
            .ok_or(DropCause::UnexpectedMessageId);
    }
    match window.judge_request(header.message_id) {
        Arrival::Next => Ok(Place::Request),
        Arrival::Repeated => Ok(Place::Repeated),
        Arrival::Outside => Err(DropCause::UnexpectedMessageId),
    }
}

/// Opens a message that fits the window. `None` for the payloads if the peer did send it, but it is not what
/// RFC 7296 allows. What is not to be looked at any further may count as something.
fn read(
    window: &Window,
    channel: &mut Channel,
    datagram: &Datagram,
) -> Result<(Place, Option<Vec<Payload>>), Option<DropCause>> {
    let place = place(window, datagram)?;
    let opened = match place {
        Place::Repeated => channel.repeats(&datagram.bytes).map(|()| Vec::new()),
        Place::Request | Place::Answer => channel.open(&datagram.bytes),
    };
    match opened {
        Ok(payloads) => Ok((place, Some(payloads))),
        Err(Unopened::Invalid) => Ok((place, None)),
        Err(Unopened::Forged(cause)) => Err(Some(cause)),
        Err(Unopened::Part) => Err(None),
    }
}

impl Established {
    /// The peer deleted a child. The answer names our SPI, unless we are deleting it ourselves (RFC 7296 §2.25.1).
    fn answer_to_delete(&mut self, inbound: u32) -> Option<Payload> {
        self.deletions.retain(|deletion| *deletion != inbound);
        let crossing = matches!(self.asked, Some(Asked::Deletion(asked)) if asked == inbound);
        (!crossing).then(|| payloads::delete_child(inbound))
    }
}

impl Engine {
    /// A message for an established IKE SA.
    pub(crate) fn exchange(
        &mut self,
        mut common: Common,
        mut state: Box<Established>,
        datagram: &Datagram,
        now: Instant,
    ) {
        if hints::is_hint(datagram) {
            self.dropped(datagram.remote, Some(DropCause::Unprotected));
            return self.hinted(common, state, now);
        }
        let (place, payloads) = match read(&state.window, &mut state.channel, datagram) {
            Ok(read) => read,
            Err(cause) => {
                self.dropped(datagram.remote, cause);
                return self.keep(common, State::Established(state));
            }
        };
        self.read_at(&common, datagram, &place, payloads.as_deref());
        match place {
            Place::Repeated => {
                self.repeated(&common, Side::Peer, &datagram.bytes, 1);
                if let Some(answer) = state.window.remembered().cloned() {
                    self.repeated(&common, Side::We, &answer, 1);
                    self.send(datagram.path(), answer);
                }
                self.keep(common, State::Established(state));
            }
            // Its answer is owed until the datapath carries the child.
            Place::Request if state.owed.is_some() => self.keep(common, State::Established(state)),
            Place::Request => {
                self.heard(&mut common, &mut state, datagram, now);
                self.requested(common, state, (payloads, datagram), now);
            }
            Place::Answer => {
                self.heard(&mut common, &mut state, datagram, now);
                state.window.completed();
                let complaint =
                    |payloads: &Vec<Payload>| payloads::notify(payloads, notify::INVALID_SYNTAX).is_some();
                match payloads.filter(|payloads| !complaint(payloads)) {
                    Some(payloads) => self.answered(common, state, &payloads, now),
                    None => {
                        self.dropped(datagram.remote, Some(DropCause::Malformed));
                        self.remove_children(&mut state, now);
                        let outage = Outage::plain(Reason::ProtocolError, Side::Peer, Stage::Established);
                        self.ended(&common, Some(outage), now);
                        self.close(common, state.farewell(), now);
                    }
                }
            }
        }
    }

    /// Our request was answered.
    fn answered(
        &mut self,
        mut common: Common,
        mut state: Box<Established>,
        payloads: &[Payload],
        now: Instant,
    ) {
        match state.asked.take() {
            Some(Asked::Child(rekey)) => self.child_rekeyed(common, state, (rekey, payloads), now),
            Some(Asked::Ike(rekey)) => self.ike_rekeyed(common, state, (rekey, payloads), now),
            Some(Asked::Deletion(spi)) => {
                self.deletion_answered(&mut state, spi, now);
                self.proceed(common, state, now);
            }
            Some(Asked::Update) => self.updated(common, state, payloads, now),
            Some(Asked::Routability(cookie)) => self.routable(common, state, (&cookie, payloads), now),
            None => {
                common.looked(payloads);
                self.proceed(common, state, now);
            }
        }
    }

    /// The peer is alive; if a NAT before it gave it another address, we follow (RFC 7296 §2.23).
    fn heard(&mut self, common: &mut Common, state: &mut Established, datagram: &Datagram, now: Instant) {
        (state.heard, state.spoke) = (now, now);
        (state.looking, state.looked) = (None, false);
        if state.window.wears() {
            state.lifetime.soft = state.lifetime.soft.min(now);
        }
        if state.children.carry() || state.childless_until.is_some() {
            common.timers.set(Timer::Expiry, None);
        }
        if datagram.header.is_response() && common.follow(datagram.path()) {
            return self.move_children(common, state);
        }
        if common.mobility.is_some() || !state.nat.remote || common.path == datagram.path() {
            return;
        }
        common.path = datagram.path();
        if let Some(name) = common.connection.clone() {
            let event = crate::Event::PeerMoved(name, datagram.remote);
            self.out.push(crate::Action::Report(event));
        }
        self.move_children(common, state);
    }

    fn requested(
        &mut self,
        mut common: Common,
        mut state: Box<Established>,
        (payloads, datagram): (Option<Vec<Payload>>, &Datagram),
        now: Instant,
    ) {
        let kind = datagram.header.exchange_type;
        let (answer, verdict) = match (payloads, kind) {
            (None, _) => self.broken(datagram),
            (Some(payloads), _) if unsupported(&payloads).is_some() => {
                let refused = unsupported(&payloads).and_then(|rejection| rejection.answer);
                self.dropped(datagram.remote, Some(DropCause::UnsupportedCriticalPayload));
                (refused.into_iter().map(Payload::Notify).collect(), Verdict::Stays)
            }
            (Some(payloads), exchange::INFORMATIONAL) => {
                let mut answer = self.relocated(&mut common, &mut state, (&payloads, datagram));
                let (rest, verdict) = self.informed(&common, &mut state, &payloads, now);
                answer.extend(rest);
                (answer, verdict)
            }
            (Some(payloads), exchange::CREATE_CHILD_SA) => {
                return self.creates(common, state, (&payloads, datagram), now);
            }
            (Some(payloads), exchange::IKE_FOLLOWUP_KE) => {
                return self.followed_up(common, state, (&payloads, datagram), now);
            }
            (Some(_), _) => self.broken(datagram),
        };
        let bytes = state
            .channel
            .answer(kind, datagram.header.message_id, &answer, self.random.as_mut());
        self.wrote(&common, (kind, datagram.header.message_id, true), &answer);
        let late = matches!(verdict, Verdict::Ends(_)) && self.heir(&common).is_some();
        if !late {
            self.send(datagram.path(), bytes.clone());
        }
        state.window.answered(bytes);
        match verdict {
            Verdict::Stays => self.proceed(common, state, now),
            Verdict::Ends(outage) => self.closed(common, state, (outage, late.then_some(datagram)), now),
            Verdict::Closes(outage) => {
                self.remove_children(&mut state, now);
                self.ended(&common, Some(outage), now);
                self.close(common, state.farewell(), now);
            }
            Verdict::Redirects(to) => {
                self.remove_children(&mut state, now);
                self.redirect(&common, (to, Stage::Established), now);
                self.close(common, state.farewell(), now);
            }
        }
    }

    /// The peer closed it; the answer, where it is sent later, goes whence this came.
    fn closed(
        &mut self,
        mut common: Common,
        mut state: Box<Established>,
        (outage, unanswered): (Outage, Option<&Datagram>),
        now: Instant,
    ) {
        self.give_way(&common, &mut state, now);
        self.pass_on(&common, &mut state, now);
        // Why there is no child is worth more than that the peer then closed the rest.
        let outage = state.children.carry().then_some(outage);
        self.remove_children(&mut state, now);
        self.ended(&common, outage, now);
        if let Some(datagram) = unanswered {
            common.path = datagram.path();
            self.answer_later(common, *state, now);
        }
    }

    /// It passed the integrity check and is still wrong: fatal to the SA on both sides (RFC 7296 §2.21.3).
    fn broken(&mut self, datagram: &Datagram) -> (Vec<Payload>, Verdict) {
        self.dropped(datagram.remote, Some(DropCause::Malformed));
        let outage = Outage::plain(Reason::ProtocolError, Side::We, Stage::Established);
        // The Delete that follows reaches a peer that did not get this answer.
        (
            vec![Payload::Notify(error(notify::INVALID_SYNTAX, Vec::new()))],
            Verdict::Closes(outage),
        )
    }

    /// An INFORMATIONAL request: an empty one asks whether we are there.
    fn informed(
        &mut self,
        common: &Common,
        state: &mut Established,
        payloads: &[Payload],
        now: Instant,
    ) -> (Vec<Payload>, Verdict) {
        let by_peer = |reason| Outage::plain(reason, Side::Peer, Stage::Established);
        if payloads::notify(payloads, notify::AUTHENTICATION_FAILED).is_some() {
            return (Vec::new(), Verdict::Ends(by_peer(Reason::AuthenticationFailed)));
        }
        if payloads::deletes(payloads).any(|delete| delete.protocol == protocol::IKE) {
            return (Vec::new(), Verdict::Ends(by_peer(Reason::DeletedByPeer)));
        }
        self.believed_from_now(common, state, payloads, now);
        let settings = common.connection.as_ref().and_then(|name| self.settings_of(name));
        if let Some(to) = settings.and_then(|settings| redirect::wanted(payloads, common, &settings)) {
            return (Vec::new(), Verdict::Redirects(to));
        }
        let of_children = payloads::deletes(payloads).filter(|delete| delete.protocol == protocol::ESP);
        let mut answer = Vec::new();
        for spi in of_children.flat_map(|delete| &delete.spis) {
            if let Some(gone) = self.deleted(state, |child| child.agreed.outbound == *spi, now) {
                answer.extend(state.answer_to_delete(gone.inbound));
                let outage = by_peer(Reason::DeletedByPeer);
                self.child_gone(common, state, (gone.line, gone.since, &outage), now);
            } else if let Some(Asked::Child(rekey)) = &mut state.asked {
                rekey.unknown_deleted(*spi);
            }
        }
        (answer, Verdict::Stays)
    }

    /// Writes into the log what a genuine message says that did not come before.
    fn read_at(&mut self, common: &Common, datagram: &Datagram, place: &Place, payloads: Option<&[Payload]>) {
        match place {
            Place::Request | Place::Answer => {
                self.read(common, &datagram.header, payloads.unwrap_or_default())
            }
            Place::Repeated => {}
        }
    }

    /// A message for an IKE SA that we are closing.
    pub(crate) fn closing(
        &mut self,
        common: Common,
        mut state: Box<Closing>,
        datagram: &Datagram,
        now: Instant,
    ) {
        let header = &datagram.header;
        let (place, payloads) = match read(&state.window, &mut state.channel, datagram) {
            Ok((place, payloads)) => (place, payloads.unwrap_or_default()),
            Err(cause) => {
                self.dropped(datagram.remote, cause);
                return self.keep(common, State::Closing(state));
            }
        };
        self.read_at(&common, datagram, &place, Some(&payloads));
        match place {
            Place::Repeated => {
                self.repeated(&common, Side::Peer, &datagram.bytes, 1);
                if let Some(answer) = state.window.remembered().cloned() {
                    self.repeated(&common, Side::We, &answer, 1);
                    self.send(datagram.path(), answer);
                }
                self.keep(common, State::Closing(state));
            }
            Place::Request => {
                let creating = [exchange::CREATE_CHILD_SA, exchange::IKE_FOLLOWUP_KE];
                let creates = creating.contains(&header.exchange_type);
                let refusal = collision::judge(Wish::Additional, Occupation::Leaving).err();
                let refusal = refusal.filter(|_| creates);
                let answer: Vec<_> = refusal
                    .map(|kind| Payload::Notify(error(kind, Vec::new())))
                    .into_iter()
                    .collect();
                let kind = header.exchange_type;
                let bytes = state
                    .channel
                    .answer(kind, header.message_id, &answer, self.random.as_mut());
                self.wrote(&common, (kind, header.message_id, true), &answer);
                self.send(datagram.path(), bytes.clone());
                state.window.answered(bytes);
                // Both sides close at once (§2.25.2): nothing is left to wait for.
                if payloads::deletes(&payloads).all(|delete| delete.protocol != protocol::IKE) {
                    self.keep(common, State::Closing(state));
                }
            }
            Place::Answer => {
                state.window.completed();
                self.too_late(&common, &mut state, &payloads, now);
                if state.farewell.is_some() {
                    self.close(common, *state, now);
                }
            }
        }
    }

    /// A repeated IKE_AUTH request that we refused gets the same answer.
    pub(crate) fn refused_again(&mut self, common: Common, state: Box<Refused>, datagram: &Datagram) {
        let header = &datagram.header;
        let repeated = (header.exchange_type, header.message_id) == state.request;
        if !repeated || header.is_response() {
            self.dropped(datagram.remote, Some(DropCause::UnexpectedExchange));
        } else {
            match state.channel.repeats(&datagram.bytes) {
                Ok(()) | Err(Unopened::Invalid) => self.send(datagram.path(), state.answer.clone()),
                Err(Unopened::Forged(cause)) => self.dropped(datagram.remote, Some(cause)),
                Err(Unopened::Part) => {}
            }
        }
        self.keep(common, State::Refused(state));
    }
}
