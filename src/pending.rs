//! The one correlation table: which answer belongs to which caller on a pipe.
//!
//! Owns the requests that were written and not yet answered. Pure: no async, no clock, no logging; generic over the
//! way home, so that its tests use numbers. It never drops a way home: each one is handed back exactly once.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::Instant,
};

use crate::{
    message::{Frame, Id, Kind},
    peer::CallerId,
    protocol::{RequestMeta, method},
};

/// How ids are chosen on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// The caller's own, so that frames pass as the bytes that came; another one only where the caller's would not
    /// come back unharmed from every JSON reader (2^53 + 1, `1.0`, escapes), or is taken.
    Keep,
    /// The bridge's own, because several callers share the wire and all start at 0 or 1.
    Restamp,
}

/// The table. `R` is the way home.
#[derive(Debug)]
pub struct Pending<R> {
    ids: Ids,
    minted: i64,
    parked: HashMap<Id, Parked<R>>,
    /// From the progress token on the wire to the id on the wire.
    tokens: HashMap<Id, Id>,
    /// How many requests each caller has in flight; none has 0.
    callers: HashMap<CallerId, usize>,
}

#[derive(Debug)]
struct Parked<R> {
    from: CallerId,
    caller_id: Id,
    token: Option<Token>,
    /// The caller's id as it wrote it, where what comes back bears the id in its metadata: `subscriptions/listen`.
    listens: Option<Box<str>>,
    /// Its caller wants log lines (2026-07-28, Logging: only who asks for them gets any).
    wants_log: bool,
    uncancellable: bool,
    deadline: Option<Instant>,
    home: R,
}

/// A progress token: what the wire carries and what the caller chose.
#[derive(Debug)]
struct Token {
    on_wire: Id,
    callers: Box<str>,
}

/// A request that will get no answer from the far end any more.
#[derive(Debug)]
pub struct Withdrawn<R> {
    /// Its id on the wire, as JSON text: what a cancellation is to name.
    pub wire_id: String,
    /// The way home.
    pub home: R,
}

impl<R> Pending<R> {
    /// An empty table.
    pub fn new(ids: Ids) -> Pending<R> {
        Pending { ids, minted: 0, parked: HashMap::new(), tokens: HashMap::new(), callers: HashMap::new() }
    }

    /// Requests without an answer.
    pub fn len(&self) -> usize {
        self.parked.len()
    }

    /// Requests of one caller without an answer.
    pub fn in_flight(&self, from: CallerId) -> usize {
        self.callers.get(&from).copied().unwrap_or_default()
    }

    /// Whether every request is answered.
    pub fn is_empty(&self) -> bool {
        self.parked.is_empty()
    }

    /// Remembers a request and gives the frame to write: the same bytes where the caller's ids can stay.
    pub fn park(&mut self, from: CallerId, request: &Frame, home: R, deadline: Option<Instant>) -> Frame {
        let caller_id = match request.kind() {
            Kind::Request(id) => id.clone(),
            Kind::Response(_) | Kind::Notification => return request.clone(),
        };
        let frame = if self.may_keep(request, &caller_id) { request.clone() } else { self.restamped(request) };
        let wire_id = match frame.kind() {
            Kind::Request(id) => id.clone(),
            Kind::Response(_) | Kind::Notification => caller_id.clone(),
        };
        let token = frame.progress_token().zip(request.token_text()).map(|(on_wire, callers)| {
            self.tokens.insert(on_wire.clone(), wire_id.clone());
            Token { on_wire: on_wire.clone(), callers: callers.into() }
        });
        *self.callers.entry(from).or_default() += 1;
        let uncancellable = request.method() == method::INITIALIZE;
        let listens = (request.method() == method::LISTEN).then(|| request.id_text().into());
        // Nobody has to end a subscription in time.
        let deadline = deadline.filter(|_| listens.is_none());
        // Alone on the wire, a caller gets all of the log anyway.
        let wants_log = self.ids == Ids::Restamp && RequestMeta::of(request).is_some_and(|meta| meta.level.is_some());
        let parked = Parked { from, caller_id, token, listens, wants_log, uncancellable, deadline, home };
        self.parked.insert(wire_id, parked);
        frame
    }

    /// Takes the way home of the request that a response answers, and gives the response as its caller is to see it.
    pub fn answer(&mut self, response: Frame) -> Option<(R, Frame)> {
        let Kind::Response(Some(id)) = response.kind() else { return None };
        let parked = self.take(id)?;
        let answer = match &parked.listens {
            Some(id) if response.subscription().is_some() => response.with(None, Some(id)),
            _ => response,
        };
        Some((parked.home, answer))
    }

    /// For a notification that names a request, by its progress token or as a subscription: the way home of that
    /// request, and the frame with the caller's own token or id.
    pub fn update(&self, frame: &Frame) -> Option<(&R, Frame)> {
        if let Some(id) = frame.subscription() {
            let parked = self.parked.get(id)?;
            return Some((&parked.home, frame.with(None, Some(parked.listens.as_ref()?))));
        }
        let wire_id = self.tokens.get(frame.progress_token()?)?;
        let parked = self.parked.get(wire_id)?;
        let token = parked.token.as_ref()?;
        Some((&parked.home, frame.with(None, Some(&token.callers))))
    }

    /// The request that is alone in wanting log lines. Over a pipe nothing links a line to the request that caused it
    /// (2026-07-28, stdio), and it must reach no other.
    pub fn only_listener(&self) -> Option<&R> {
        let mut all = self.parked.values().filter(|parked| parked.wants_log);
        let only = all.next()?;
        all.next().is_none().then_some(&only.home)
    }

    /// Takes the subscription that the server ends by cancelling it (2026-07-28, stdio, Cancellation), with the caller's
    /// own id.
    pub fn ended_by_server(&mut self, frame: &Frame) -> Option<(R, Box<str>)> {
        let id = frame.cancelled()?;
        self.parked.get(id)?.listens.as_ref()?;
        let parked = self.take(id)?;
        Some((parked.home, parked.listens?))
    }

    /// The request that is alone in flight. Over a pipe nothing links what a legacy server says to the call that made
    /// it say so; being the only one does.
    pub fn only_call(&self) -> Option<&R> {
        let mut all = self.parked.values();
        let only = all.next()?;
        all.next().is_none().then_some(&only.home)
    }

    /// A request of the caller that is alone in having some in flight.
    pub fn only_caller(&self) -> Option<&R> {
        let mut all = self.parked.values();
        let first = all.next()?;
        all.all(|parked| parked.from == first.from).then_some(&first.home)
    }

    /// Withdraws what `from` calls `id`, because it cancelled it. An `initialize` stays: it must not be cancelled
    /// (2025-11-25, Cancellation, Behavior Requirements).
    pub fn cancel(&mut self, from: CallerId, id: &Id) -> Option<Withdrawn<R>> {
        let is_it = |parked: &Parked<R>| parked.from == from && parked.caller_id == *id && !parked.uncancellable;
        let wire_id = match self.parked.get(id) {
            Some(parked) if is_it(parked) => id.clone(),
            _ => self.parked.iter().find(|(_, parked)| is_it(parked)).map(|(wire_id, _)| wire_id.clone())?,
        };
        self.withdraw(&wire_id)
    }

    /// Withdraws everything whose way home is one of these. Who reads is told by the way home: who asks may be somebody
    /// else, as where one connection carries many exchanges.
    pub fn forget(&mut self, which: impl Fn(&R) -> bool) -> Vec<Withdrawn<R>> {
        self.withdraw_all(|parked| which(&parked.home))
    }

    /// Withdraws what has waited past its deadline.
    pub fn expired(&mut self, now: Instant) -> Vec<Withdrawn<R>> {
        self.withdraw_all(|parked| parked.deadline.is_some_and(|deadline| deadline <= now))
    }

    /// The wire died: gives back every way home.
    pub fn drain(&mut self) -> impl Iterator<Item = R> + use<R> {
        self.tokens.clear();
        self.callers.clear();
        std::mem::take(&mut self.parked).into_values().map(|parked| parked.home)
    }

    fn withdraw(&mut self, wire_id: &Id) -> Option<Withdrawn<R>> {
        let home = self.take(wire_id)?.home;
        Some(Withdrawn { wire_id: wire_id.to_json().into_owned(), home })
    }

    fn withdraw_all(&mut self, which: impl Fn(&Parked<R>) -> bool) -> Vec<Withdrawn<R>> {
        let ids: Vec<Id> = self.parked.iter().filter(|(_, p)| which(p)).map(|(id, _)| id.clone()).collect();
        ids.iter().filter_map(|id| self.withdraw(id)).collect()
    }

    fn take(&mut self, wire_id: &Id) -> Option<Parked<R>> {
        let parked = self.parked.remove(wire_id)?;
        if let Entry::Occupied(mut count) = self.callers.entry(parked.from) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        if let Some(token) = &parked.token {
            self.tokens.remove(&token.on_wire);
        }
        Some(parked)
    }

    fn may_keep(&self, request: &Frame, id: &Id) -> bool {
        self.ids == Ids::Keep
            && request.ids_survive()
            && !self.parked.contains_key(id)
            && request.progress_token().is_none_or(|token| !self.tokens.contains_key(token))
    }

    /// A copy with an id and token that nobody uses. Strings among kept ids, so that a caller's numbers stay free.
    fn restamped(&mut self, request: &Frame) -> Frame {
        loop {
            self.minted += 1;
            let id = match self.ids {
                Ids::Keep => Id::Text(format!("mcp-bridge-{}", self.minted).into()),
                Ids::Restamp => Id::Number(self.minted),
            };
            if !self.parked.contains_key(&id) && !self.tokens.contains_key(&id) {
                let text = id.to_json();
                return request.with(Some(&text), Some(&text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::time::Duration;

    fn frame(text: &str) -> Frame {
        Frame::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    fn call(id: &str, token: &str) -> Frame {
        frame(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"_meta":{{"progressToken":{token}}}}}}}"#
        ))
    }

    fn progress(token: &str) -> Frame {
        frame(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1}}}}"#
        ))
    }

    fn home_of<R>(answered: Option<(R, Frame)>) -> Option<R> {
        answered.map(|(home, _)| home)
    }

    fn answer_to(request: &Frame) -> Frame {
        Frame::result(request.id_text(), "{}")
    }

    #[test]
    fn kept_ids_pass_as_the_bytes_that_came() {
        let mut table = Pending::new(Ids::Keep);
        let caller = CallerId::fresh();
        for (home, (id, token)) in [("0", "0"), ("\"a:b\"", "\"t\""), ("-5", "7")].into_iter().enumerate() {
            let request = call(id, token);
            let written = table.park(caller, &request, home, None);
            assert_eq!(written.bytes().as_ptr(), request.bytes().as_ptr());
            assert_eq!(table.update(&progress(token)).unwrap().0, &home);
        }
        assert_eq!(home_of(table.answer(Frame::result("\"a:b\"", "{}"))), Some(1));
        assert_eq!(home_of(table.answer(Frame::result("\"a:b\"", "{}"))), None, "one answer each");
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn ids_that_json_readers_damage_are_replaced_and_restored() {
        let mut table = Pending::new(Ids::Keep);
        let caller = CallerId::fresh();
        for id in ["9007199254740993", "1.0", "\"a\\u002fb\"", "1e3", "-0"] {
            let request = call(id, id);
            let written = table.park(caller, &request, id, None);
            assert_ne!(written.id_text(), id);
            let (_, update) = table.update(&progress(written.token_text().unwrap())).unwrap();
            assert_eq!(update.token_text(), Some(id));
            assert_eq!(home_of(table.answer(answer_to(&written))), Some(id));
        }
        assert!(table.is_empty() && table.tokens.is_empty());
    }

    #[test]
    fn callers_that_share_a_wire_never_meet() {
        let mut table = Pending::new(Ids::Restamp);
        let callers: Vec<CallerId> = (0..50).map(|_| CallerId::fresh()).collect();
        let written: Vec<(usize, Frame)> =
            (0..5_000).map(|n| (n, table.park(callers[n % 50], &call(&(n / 50).to_string(), "1"), n, None))).collect();
        for (n, frame) in written.iter().rev() {
            let (home, update) = table.update(&progress(frame.token_text().unwrap())).unwrap();
            assert_eq!((home, update.token_text()), (n, Some("1")));
            assert_eq!(home_of(table.answer(answer_to(frame))), Some(*n));
        }
        assert!(table.is_empty() && table.tokens.is_empty() && table.callers.is_empty());
    }

    #[test]
    fn each_callers_requests_are_counted() {
        let mut table = Pending::new(Ids::Restamp);
        let (a, b) = (CallerId::fresh(), CallerId::fresh());
        let first = table.park(a, &call("1", "1"), 1, None);
        table.park(a, &call("2", "2"), 2, None);
        table.park(b, &call("1", "1"), 3, None);
        assert_eq!((table.in_flight(a), table.in_flight(b)), (2, 1));
        home_of(table.answer(answer_to(&first)));
        table.forget(|home| *home == 3);
        assert_eq!((table.in_flight(a), table.in_flight(b)), (1, 0));
        drop(table.drain());
        assert_eq!(table.in_flight(a), 0);
    }

    #[test]
    fn a_cancellation_names_the_wire_id_and_reaches_only_the_callers_own() {
        let mut table = Pending::new(Ids::Restamp);
        let (a, b) = (CallerId::fresh(), CallerId::fresh());
        let first = table.park(a, &call("7", "7"), "a", None);
        let second = table.park(b, &call("7", "7"), "b", None);
        assert!(table.cancel(a, &Id::Number(8)).is_none());
        let gone = table.cancel(b, &Id::Number(7)).unwrap();
        assert_eq!((gone.home, gone.wire_id.as_str()), ("b", second.id_text()));
        assert!(table.cancel(b, &Id::Number(7)).is_none());
        assert_eq!(home_of(table.answer(answer_to(&first))), Some("a"));
        let init = frame(r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#);
        table.park(a, &init, "init", None);
        assert!(table.cancel(a, &Id::Number(1)).is_none(), "initialize must not be cancelled");
    }

    #[test]
    fn the_only_call_and_the_only_caller_are_known() {
        let mut table = Pending::new(Ids::Restamp);
        let (a, b) = (CallerId::fresh(), CallerId::fresh());
        assert_eq!((table.only_call(), table.only_caller()), (None, None));
        let first = table.park(a, &call("1", "1"), "a", None);
        assert_eq!((table.only_call(), table.only_caller()), (Some(&"a"), Some(&"a")));
        table.park(a, &call("2", "2"), "a", None);
        assert_eq!((table.only_call(), table.only_caller()), (None, Some(&"a")));
        table.park(b, &call("1", "1"), "b", None);
        assert_eq!((table.only_call(), table.only_caller()), (None, None));
        home_of(table.answer(answer_to(&first)));
        assert_eq!(table.forget(|home| *home == "a").len(), 1);
        assert_eq!(table.only_call(), Some(&"b"));
    }

    #[test]
    fn deadlines_withdraw_what_is_late_and_nothing_else() {
        let mut table = Pending::new(Ids::Keep);
        let caller = CallerId::fresh();
        let start = Instant::now();
        let at = |seconds| Some(start + Duration::from_secs(seconds));
        table.park(caller, &call("1", "1"), 1, at(1));
        table.park(caller, &call("2", "2"), 2, at(2));
        table.park(caller, &call("3", "3"), 3, at(3));
        home_of(table.answer(Frame::result("1", "{}")));
        let late: Vec<i32> = table.expired(start + Duration::from_secs(2)).into_iter().map(|w| w.home).collect();
        assert_eq!(late, [2]);
        assert_eq!(table.drain().collect::<Vec<_>>(), [3]);
        assert!(table.is_empty() && table.tokens.is_empty());
    }

    #[test]
    fn a_subscription_bears_its_callers_id_however_it_is_named_on_the_wire() {
        let mut table = Pending::new(Ids::Restamp);
        let named = |id: &str| format!(r#"{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}}}"#);
        let callers = [CallerId::fresh(), CallerId::fresh()];
        let listen = frame(r#"{"jsonrpc":"2.0","id":"L","method":"subscriptions/listen","params":{}}"#);
        let soon = Some(Instant::now());
        let written = callers.map(|caller| table.park(caller, &listen, caller, soon));
        for (caller, written) in callers.iter().zip(&written) {
            let changed = Frame::notification("notifications/tools/list_changed", Some(&named(written.id_text())));
            let (home, update) = table.update(&changed).unwrap();
            assert_eq!((home, update.body()), (caller, Some(&*named("\"L\""))));
        }
        assert!(table.expired(Instant::now()).is_empty(), "a subscription is not late");
        let (home, answer) = table.answer(Frame::result(written[0].id_text(), &named(written[0].id_text()))).unwrap();
        assert_eq!((home, answer.body()), (callers[0], Some(&*named("\"L\""))));
        let end = format!(r#"{{"requestId":{}}}"#, written[1].id_text());
        let end = Frame::notification("notifications/cancelled", Some(&end));
        assert_eq!(table.ended_by_server(&end), Some((callers[1], "\"L\"".into())));
        assert_eq!(table.ended_by_server(&end), None);
        assert!(table.is_empty());
    }

    #[test]
    fn a_log_line_belongs_to_the_only_request_that_wants_any() {
        let mut table = Pending::new(Ids::Restamp);
        let caller = CallerId::fresh();
        let wanting = |id: i32| {
            frame(&format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"x","params":{{"_meta":{{"io.modelcontextprotocol/logLevel":"info"}}}}}}"#
            ))
        };
        table.park(caller, &call("1", "1"), 1, None);
        assert_eq!(table.only_listener(), None);
        table.park(caller, &wanting(2), 2, None);
        assert_eq!(table.only_listener(), Some(&2));
        table.park(caller, &wanting(3), 3, None);
        assert_eq!(table.only_listener(), None);
    }
}
