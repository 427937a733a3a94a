//! How much one caller may ask. Pure: the time is passed in.
//!
//! Owns the buckets, by address and by principal, and the counts of calls that run. Talks to nobody. It never waits: what is
//! too much is refused, with the time after which it is not.
//!
//! A request pays before the door, for its address, so that tokens cannot be guessed at will; once its principal is known, it
//! gets that back and pays for the principal, so that many behind one address do not pay for each other.
//!
//! Each table is bounded. What is known of a caller whose bucket is full again is nothing, so that is forgotten first. Where
//! that makes no room, newcomers share one bucket: a flood from many addresses pushes out nobody who was there, and an
//! address never takes a principal's place.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderValue, StatusCode, header};

use crate::{
    audit::Reason,
    config::traffic::{Rate, Traffic},
    message::code,
    peer::Principal,
    wire::exchange::Refusal,
};

/// Most callers of one kind that are told apart. About 1 MiB.
const MAX_CALLERS: usize = 16_384;

/// Between two looks for callers that can be forgotten: each costs a walk over all of them.
const SWEEP: Duration = Duration::from_secs(1);

/// After which a caller with too many calls may try again.
const CALLS_RETRY: Duration = Duration::from_secs(1);

/// The limits of one socket's callers.
#[derive(Debug)]
pub struct Limiter {
    rate: Option<Rate>,
    max_concurrent: Option<u32>,
    addresses: Mutex<Table<Option<IpAddr>>>,
    principals: Mutex<Table<Principal>>,
}

/// A request that has paid for its address, and not yet for its principal.
#[derive(Debug)]
pub struct Knock {
    limiter: Arc<Limiter>,
    place: Place<Option<IpAddr>>,
}

/// A call that is counted until this is dropped.
#[derive(Debug)]
pub struct Running {
    limiter: Arc<Limiter>,
    of: Of,
}

/// The same, on its way to where the call ends.
#[derive(Debug, Clone)]
pub struct Counted(#[allow(dead_code)] Arc<Running>);

impl Counted {
    /// Counted until the last clone is dropped.
    pub fn new(running: Running) -> Counted {
        Counted(Arc::new(running))
    }
}

#[derive(Debug)]
enum Of {
    Address(Place<Option<IpAddr>>),
    Principal(Place<Principal>),
}

/// Too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// Too many requests in a short time.
    Rate(Rate, Duration),
    /// Too many calls at once.
    Calls(u32),
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Refusal {
        let (text, after, reason) = match denied {
            Denied::Rate(rate, after) => {
                (format!("too many requests; the limit is {rate} (--rate-limit)"), after, Reason::Rate)
            }
            Denied::Calls(most) => {
                (format!("too many calls at once; the limit is {most} (--max-concurrent)"), CALLS_RETRY, Reason::Calls)
            }
        };
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        let seconds = seconds.max(1);
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, format!("{text}; try again in {seconds} s"))
            .code(code::LIMIT)
            .header(header::RETRY_AFTER, HeaderValue::from(seconds))
            .because(reason)
    }
}

impl Limiter {
    /// `None` where nothing is limited.
    pub fn new(traffic: &Traffic, now: Instant) -> Option<Arc<Limiter>> {
        let limited = traffic.rate.is_some() || traffic.max_concurrent.is_some();
        limited.then(|| {
            Arc::new(Limiter {
                rate: traffic.rate,
                max_concurrent: traffic.max_concurrent,
                addresses: Mutex::new(Table::new(now)),
                principals: Mutex::new(Table::new(now)),
            })
        })
    }

    /// A request from this address, before the door. All clients of a Unix socket, which have none, count as one.
    pub fn knock(self: &Arc<Self>, address: Option<IpAddr>, now: Instant) -> Result<Knock, Denied> {
        let place = lock(&self.addresses).pay(address.map(network), self.rate, now)?;
        Ok(Knock { limiter: self.clone(), place })
    }
}

impl Knock {
    /// Past the door. `calls`: whether it is to be counted as a call until [`Running`] is dropped.
    pub fn enter(self, principal: Option<&Principal>, calls: bool, now: Instant) -> Result<Option<Running>, Denied> {
        let Knock { limiter, place } = self;
        let of = match principal {
            Some(principal) => {
                lock(&limiter.addresses).pay_back(&place, limiter.rate);
                Of::Principal(lock(&limiter.principals).pay(principal.clone(), limiter.rate, now)?)
            }
            None => Of::Address(place),
        };
        let Some(most) = limiter.max_concurrent.filter(|_| calls) else { return Ok(None) };
        let counted = match &of {
            Of::Address(place) => lock(&limiter.addresses).begin(place, most, now),
            Of::Principal(place) => lock(&limiter.principals).begin(place, most, now),
        };
        if !counted {
            return Err(Denied::Calls(most));
        }
        Ok(Some(Running { limiter, of }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        match &self.of {
            Of::Address(place) => lock(&self.limiter.addresses).end(place),
            Of::Principal(place) => lock(&self.limiter.principals).end(place),
        }
    }
}

/// One customer of a provider gets a /64 at least, and can call from any address in it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

fn lock<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which bucket was paid from: the caller's own, or the one of those for whom there was no room.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place<K> {
    Own(K),
    Shared,
}

/// What is known of one caller.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// When the bucket is full again. What is missing from it is the time until then.
    full_at: Instant,
    running: u32,
}

#[derive(Debug)]
struct Table<K> {
    buckets: HashMap<K, Bucket>,
    shared: Bucket,
    swept: Option<Instant>,
}

impl<K: Eq + Hash + Clone> Table<K> {
    fn new(now: Instant) -> Table<K> {
        Table { buckets: HashMap::new(), shared: Bucket { full_at: now, running: 0 }, swept: None }
    }

    /// Takes one request from a caller's bucket, which holds `rate.count`.
    fn pay(&mut self, key: K, rate: Option<Rate>, now: Instant) -> Result<Place<K>, Denied> {
        let place = self.place(key, now);
        if let (Some(rate), Some(bucket)) = (rate, self.bucket(&place)) {
            let full_at = bucket.full_at.max(now) + price(rate);
            let missing = full_at.duration_since(now);
            if missing > rate.period {
                return Err(Denied::Rate(rate, missing - rate.period));
            }
            bucket.full_at = full_at;
        }
        Ok(place)
    }

    fn pay_back(&mut self, place: &Place<K>, rate: Option<Rate>) {
        if let (Some(rate), Some(bucket)) = (rate, self.bucket(place)) {
            bucket.full_at = bucket.full_at.checked_sub(price(rate)).unwrap_or(bucket.full_at);
        }
    }

    /// Counts a call, unless there are `most`.
    fn begin(&mut self, place: &Place<K>, most: u32, now: Instant) -> bool {
        if let Place::Own(key) = place {
            // It may have been forgotten since it paid.
            self.buckets.entry(key.clone()).or_insert(Bucket { full_at: now, running: 0 });
        }
        match self.bucket(place) {
            Some(bucket) if bucket.running < most => {
                bucket.running += 1;
                true
            }
            _ => false,
        }
    }

    fn end(&mut self, place: &Place<K>) {
        if let Some(bucket) = self.bucket(place) {
            bucket.running = bucket.running.saturating_sub(1);
        }
    }

    fn bucket(&mut self, place: &Place<K>) -> Option<&mut Bucket> {
        match place {
            Place::Own(key) => self.buckets.get_mut(key),
            Place::Shared => Some(&mut self.shared),
        }
    }

    fn place(&mut self, key: K, now: Instant) -> Place<K> {
        if self.buckets.contains_key(&key) {
            return Place::Own(key);
        }
        if self.buckets.len() >= MAX_CALLERS && self.swept.is_none_or(|swept| now.duration_since(swept) >= SWEEP) {
            self.buckets.retain(|_, bucket| bucket.full_at > now || bucket.running > 0);
            self.swept = Some(now);
        }
        if self.buckets.len() >= MAX_CALLERS {
            return Place::Shared;
        }
        self.buckets.insert(key.clone(), Bucket { full_at: now, running: 0 });
        Place::Own(key)
    }
}

/// The time in which what one request takes comes back.
fn price(rate: Rate) -> Duration {
    rate.period / rate.count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER_SECOND: Duration = Duration::from_secs(1);

    fn limiter(count: u32, most: Option<u32>, now: Instant) -> Arc<Limiter> {
        let rate = Some(Rate { count, period: PER_SECOND });
        Limiter::new(&Traffic { rate, max_concurrent: most, ..Traffic::default() }, now).unwrap()
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn numbered(number: u32) -> Option<IpAddr> {
        Some(IpAddr::from(number.to_be_bytes()))
    }

    #[test]
    fn a_burst_is_served_and_then_the_rate() {
        let start = Instant::now();
        let limiter = limiter(4, None, start);
        let client = address("192.0.2.1");
        assert!((0..4).all(|_| limiter.knock(client, start).is_ok()));
        let Err(Denied::Rate(_, after)) = limiter.knock(client, start) else { panic!("no end") };
        assert_eq!(after, Duration::from_millis(250));
        assert!(limiter.knock(address("192.0.2.2"), start).is_ok(), "another address pays for itself");
        let later = start + after;
        assert!(limiter.knock(client, later).is_ok());
        assert!(limiter.knock(client, later).is_err());
        let rested = later + PER_SECOND * 100;
        assert_eq!((0..9).filter(|_| limiter.knock(client, rested).is_ok()).count(), 4, "rest saves up no more");
    }

    #[test]
    fn one_v6_network_is_one_address_and_so_is_a_mapped_one() {
        let start = Instant::now();
        let limiter = limiter(1, None, start);
        assert!(limiter.knock(address("2001:db8::1"), start).is_ok());
        assert!(limiter.knock(address("2001:db8::ffff:1"), start).is_err());
        assert!(limiter.knock(address("2001:db8:0:1::1"), start).is_ok());
        assert!(limiter.knock(address("192.0.2.1"), start).is_ok());
        assert!(limiter.knock(address("::ffff:192.0.2.1"), start).is_err());
        assert!(limiter.knock(None, start).is_ok());
        assert!(limiter.knock(None, start).is_err());
    }

    #[test]
    fn a_principal_pays_for_itself_from_wherever_it_calls() {
        let start = Instant::now();
        let limiter = limiter(2, None, start);
        let (one, other) = (Principal("one".into()), Principal("other".into()));
        let call = |from: &str, who: &Principal| {
            limiter.knock(address(from), start).and_then(|knock| knock.enter(Some(who), false, start))
        };
        assert!(call("192.0.2.1", &one).is_ok() && call("192.0.2.2", &one).is_ok());
        assert!(call("192.0.2.3", &one).is_err());
        assert!(call("192.0.2.1", &other).is_ok() && call("192.0.2.1", &other).is_ok());
        assert!(call("192.0.2.1", &other).is_err());
        // Wrong tokens are paid for by the address.
        assert!(
            limiter.knock(address("192.0.2.1"), start).is_ok() && limiter.knock(address("192.0.2.1"), start).is_ok()
        );
        assert!(limiter.knock(address("192.0.2.1"), start).is_err());
    }

    #[test]
    fn calls_count_until_they_end() {
        let start = Instant::now();
        let limiter = limiter(100, Some(2), start);
        let call = |who: Option<&Principal>, calls| {
            limiter.knock(address("192.0.2.1"), start).unwrap().enter(who, calls, start)
        };
        let (first, second) = (call(None, true).unwrap(), call(None, true).unwrap());
        assert!(first.is_some() && second.is_some());
        assert_eq!(call(None, true).unwrap_err(), Denied::Calls(2));
        assert!(call(None, false).unwrap().is_none(), "what is no call is not counted");
        let principal = Principal("one".into());
        assert!(call(Some(&principal), true).unwrap().is_some(), "a principal has its own count");
        drop(first);
        assert!(call(None, true).is_ok());
    }

    #[test]
    fn a_flood_of_addresses_fills_no_memory_and_frees_nobody_of_what_it_owes() {
        let start = Instant::now();
        let limiter = limiter(2, None, start);
        let known = address("192.0.2.1");
        assert!(limiter.knock(known, start).is_ok() && limiter.knock(known, start).is_ok());
        let flood = u32::try_from(MAX_CALLERS).unwrap() * 2;
        let served = (0..flood).filter(|number| limiter.knock(numbered(*number), start).is_ok()).count();
        assert_eq!(lock(&limiter.addresses).buckets.len(), MAX_CALLERS);
        assert_eq!(served, MAX_CALLERS - 1 + 2, "those without room share one bucket");
        assert!(limiter.knock(known, start).is_err(), "who owes is not forgotten");
        let knock = limiter.knock(numbered(7), start).unwrap();
        assert!(knock.enter(Some(&Principal("good".into())), false, start).is_ok());
        let later = start + PER_SECOND;
        assert!(limiter.knock(numbered(flood), later).is_ok());
        assert_eq!(lock(&limiter.addresses).buckets.len(), 1, "who owes nothing is forgotten");
    }

    #[test]
    fn a_caller_is_told_when_to_come_back() {
        let rate = Rate { count: 60, period: Duration::from_secs(60) };
        let response = Refusal::from(Denied::Rate(rate, Duration::from_millis(1_200))).into_response();
        assert_eq!(
            (response.status(), &response.headers()[header::RETRY_AFTER]),
            (StatusCode::TOO_MANY_REQUESTS, &HeaderValue::from(2))
        );
    }
}
