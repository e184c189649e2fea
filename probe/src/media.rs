//! Whether media would reach the bridge: every candidate asked, one verdict.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::offer::{Candidate, Offer};
use crate::report::{Bridge, milliseconds};
use crate::stun::{self, Answer};
use crate::target::Mapping;

/// The kind of a [`Bridge`] at the private address of the machine it runs on, which it did not offer.
pub const LOCAL: &str = "local";
/// On one machine an answer takes less than a millisecond.
const BESIDE_LIMIT: Duration = Duration::from_secs(1);

/// A candidate with what came back.
struct Asked {
    candidate: Candidate,
    answer: Answer,
}

/// Asks each participant's every candidate. The list is complete also when the verdict is bad.
pub(crate) async fn ask(
    offers: &[Offer],
    mapping: Option<Mapping>,
    deadline: Instant,
) -> Result<(Vec<Bridge>, Result<(), Failure>), Failure> {
    let checks = offers.iter().flat_map(|offer| {
        offer.candidates.iter().map(move |candidate| async move {
            let answer = stun::check(candidate.address, offer, deadline).await?;
            Ok::<_, Failure>(Asked { candidate: candidate.clone(), answer })
        })
    });
    let asked = try_join_all(checks).await?;
    let verdict = judge(&asked, mapping);
    let mut bridges = bridges(&asked);
    if let (Err(Failure::NoMedia { .. }), Some(mapping), [first, ..]) = (&verdict, mapping, offers)
    {
        bridges.extend(ask_beside(first, mapping).await?);
    }
    Ok((bridges, verdict))
}

/// The bridge at the address it has on this machine, which it need not offer: an answer there and none at
/// the public one is a matter of the network between them. `None` when that address was asked already.
async fn ask_beside(offer: &Offer, mapping: Mapping) -> Result<Option<Bridge>, Failure> {
    let Some(public) = offer.candidates.iter().find(|c| c.address.ip() == mapping.public) else {
        return Ok(None);
    };
    if offer.candidates.iter().any(|c| c.address.ip() == mapping.local) {
        return Ok(None);
    }
    let address = SocketAddr::new(mapping.local, public.address.port());
    let answer = stun::check(address, offer, Instant::now() + BESIDE_LIMIT).await?;
    let round_trip_ms = match answer {
        Answer::Bridge(time) => Some(milliseconds(time)),
        _ => None,
    };
    Ok(Some(Bridge { address, kind: LOCAL.to_owned(), round_trip_ms }))
}

#[cfg(feature = "call")]
/// The address to meet the bridge at: one that answered everybody, the public one before others.
pub(crate) fn best(bridges: &[Bridge], mapping: Option<Mapping>) -> Option<SocketAddr> {
    let rank = |bridge: &&Bridge| {
        (mapping.is_none_or(|m| bridge.address.ip() != m.public), bridge.kind == "host")
    };
    let answering = bridges.iter().filter(|bridge| bridge.round_trip_ms.is_some());
    answering.min_by_key(rank).map(|bridge| bridge.address)
}

/// Each address once; it answered only if it answered every participant.
fn bridges(asked: &[Asked]) -> Vec<Bridge> {
    let mut bridges: Vec<Bridge> = Vec::new();
    for Asked { candidate, answer } in asked {
        let round_trip_ms = match answer {
            Answer::Bridge(time) => Some(milliseconds(*time)),
            _ => None,
        };
        match bridges.iter_mut().find(|bridge| bridge.address == candidate.address) {
            Some(known) => {
                known.round_trip_ms =
                    known.round_trip_ms.zip(round_trip_ms).map(|(one, other)| one.max(other));
            }
            None => bridges.push(Bridge {
                address: candidate.address,
                kind: candidate.kind.clone(),
                round_trip_ms,
            }),
        }
    }
    bridges
}

/// Which answers count depends on what is known. The public address of the instance, if we know
/// it; else every mapped address; else, without any mapping, one address is enough. A private
/// address, which only machines beside the bridge reach, never outweighs a mapped one.
fn judge(asked: &[Asked], mapping: Option<Mapping>) -> Result<(), Failure> {
    for Asked { candidate, answer } in asked {
        if let Answer::Impostor(why) = answer {
            return Err(Failure::Impostor { address: candidate.address, why: why.clone() });
        }
    }
    let public = |c: &Candidate| match mapping {
        Some(mapping) => c.address.ip() == mapping.public,
        None => c.mapped(),
    };
    let reachable = |a: &&Asked| a.answer != Answer::NoRoute;
    let mut counted: Vec<&Asked> =
        asked.iter().filter(|a| public(&a.candidate)).filter(reachable).collect();
    let any_is_enough = counted.is_empty();
    if any_is_enough {
        counted = asked.iter().collect();
    }
    let missing: Vec<&Asked> =
        counted.iter().filter(|a| !matches!(a.answer, Answer::Bridge(_))).copied().collect();
    if missing.is_empty() || (any_is_enough && missing.len() < counted.len()) {
        return Ok(());
    }
    if let Some(closed) = missing.iter().find(|a| a.answer == Answer::Closed) {
        return Err(Failure::PortClosed { address: closed.candidate.address });
    }
    let mut addresses: Vec<_> = missing.iter().map(|a| a.candidate.address).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Err(Failure::NoMedia { addresses })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Answer = Answer::Bridge(Duration::from_millis(1));

    fn asked(address: &str, kind: &str, answer: Answer) -> Asked {
        let address = address.parse().unwrap();
        Asked { candidate: Candidate { address, kind: kind.into() }, answer }
    }

    #[test]
    fn a_private_address_does_not_outweigh_the_public_one() {
        let both = |public: Answer| {
            [asked("10.0.3.7:10000", "host", OK), asked("3.68.1.2:10000", "srflx", public)]
        };
        assert_eq!(judge(&both(OK), None), Ok(()));
        assert_eq!(
            judge(&both(Answer::Silence), None).unwrap_err().to_string(),
            "3.68.1.2 udp/10000 does not answer: security group, network ACL or firewall"
        );
        // From outside the private address is silent, and that is fine.
        let outside =
            [asked("10.0.3.7:10000", "host", Answer::Silence), asked("3.68.1.2:1", "srflx", OK)];
        assert_eq!(judge(&outside, None), Ok(()));
    }

    #[test]
    fn an_address_family_this_machine_lacks_is_no_verdict() {
        let dual =
            [asked("[2001:db8::1]:1", "host", Answer::NoRoute), asked("3.68.1.2:1", "host", OK)];
        assert_eq!(judge(&dual, None), Ok(()));
        let lost = [asked("[2001:db8::1]:1", "srflx", Answer::NoRoute)];
        assert!(judge(&lost, None).is_err());
    }

    #[test]
    fn every_participant_must_be_answered() {
        let twice =
            [asked("3.68.1.2:1", "srflx", OK), asked("3.68.1.2:1", "srflx", Answer::Silence)];
        assert!(judge(&twice, None).is_err());
        let list = bridges(&twice);
        assert_eq!((list.len(), list[0].round_trip_ms), (1, None));
    }

    #[test]
    fn strangers_and_closed_ports_are_named() {
        let stranger =
            [asked("3.68.1.2:10000", "srflx", Answer::Impostor("STUN error 401".into()))];
        assert!(matches!(judge(&stranger, None), Err(Failure::Impostor { .. })));
        let closed = [asked("3.68.1.2:10000", "srflx", Answer::Closed)];
        assert!(matches!(judge(&closed, None), Err(Failure::PortClosed { .. })));
    }
}
