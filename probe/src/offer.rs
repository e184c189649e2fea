//! jicofo's Jingle offer: what the bridge tells about itself.

use std::net::{IpAddr, SocketAddr};

use minidom::Element;

use crate::failure::Failure;
use crate::stanza::{ICE_UDP, JINGLE};
use crate::target::Mapping;

/// The bridge's side of one participant's media transport.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Offer {
    pub(crate) ufrag: String,
    pub(crate) pwd: String,
    pub(crate) candidates: Vec<Candidate>,
}

/// An address the bridge offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) address: SocketAddr,
    /// `host`, `srflx`, …
    pub(crate) kind: String,
}

impl Candidate {
    /// Whether it is the address users outside need: one that a mapping gave.
    pub(crate) fn mapped(&self) -> bool {
        self.kind != "host"
    }
}

impl Offer {
    /// The offer in `iq`, if it is one. All contents share one transport (BUNDLE).
    pub(crate) fn read(iq: &Element) -> Option<Result<Self, Failure>> {
        let jingle = iq.get_child("jingle", JINGLE)?;
        if jingle.attr("action") != Some("session-initiate") {
            return None;
        }
        let transports =
            jingle.children().filter_map(|content| content.get_child("transport", ICE_UDP));
        Some(Self::from_transports(transports))
    }

    fn from_transports<'a>(transports: impl Iterator<Item = &'a Element>) -> Result<Self, Failure> {
        let mut offer: Option<Self> = None;
        for transport in transports {
            let attr = |name: &str| {
                transport
                    .attr(name)
                    .map(ToOwned::to_owned)
                    .ok_or_else(|| Failure::BadOffer(format!("a transport without {name}")))
            };
            let (ufrag, pwd) = (attr("ufrag")?, attr("pwd")?);
            let offer = offer.get_or_insert_with(|| Self { ufrag, pwd, candidates: Vec::new() });
            for element in transport.children().filter(|child| child.is("candidate", ICE_UDP)) {
                if let Some(candidate) = read_candidate(element)?
                    && !offer.candidates.contains(&candidate)
                {
                    offer.candidates.push(candidate);
                }
            }
        }
        offer.ok_or_else(|| Failure::BadOffer("it has no contents".into()))
    }

    /// Whether the bridge offers what users need, as far as can be told without asking it.
    pub(crate) fn check(&self, mapping: Option<Mapping>) -> Result<(), Failure> {
        if self.candidates.is_empty() {
            return Err(Failure::NoCandidate { mapping });
        }
        match mapping {
            Some(mapping) if !self.candidates.iter().any(|c| c.address.ip() == mapping.public) => {
                let offered = self.candidates.iter().map(|c| c.address).collect();
                Err(Failure::WrongCandidate { mapping, offered })
            }
            _ => Ok(()),
        }
    }
}

/// `None` for what is not UDP: nothing serves it since JVB dropped ICE/TCP.
fn read_candidate(element: &Element) -> Result<Option<Candidate>, Failure> {
    if element.attr("protocol").is_some_and(|protocol| !protocol.eq_ignore_ascii_case("udp")) {
        return Ok(None);
    }
    let ip = element.attr("ip").and_then(|ip| ip.parse::<IpAddr>().ok());
    let port = element.attr("port").and_then(|port| port.parse::<u16>().ok());
    let (Some(ip), Some(port)) = (ip, port) else {
        return Err(Failure::BadOffer("a candidate without address".into()));
    };
    let kind = element.attr("type").unwrap_or("host").to_owned();
    Ok(Some(Candidate { address: SocketAddr::new(ip, port), kind }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// jicofo's offer to the first participant, as recorded.
    fn recorded() -> Element {
        include_str!("../tests/data/session-initiate.xml").parse().unwrap()
    }

    #[test]
    fn the_recorded_offer_is_understood() {
        let offer = Offer::read(&recorded()).unwrap().unwrap();
        assert_eq!(
            offer,
            Offer {
                ufrag: "e00dt1k7tea43c".into(),
                pwd: "3t4rc92bqrh5dk24usnejn7uha".into(),
                candidates: vec![Candidate {
                    address: "198.51.100.7:10000".parse().unwrap(),
                    kind: "srflx".into(),
                }],
            }
        );
    }

    #[test]
    fn a_wrong_mapping_is_named() {
        let mut offer = Offer::read(&recorded()).unwrap().unwrap();
        let right = Mapping { local: [10, 0, 0, 7].into(), public: [198, 51, 100, 7].into() };
        let stale = Mapping { public: [198, 51, 100, 8].into(), ..right };
        assert_eq!(offer.check(Some(right)), Ok(()));
        assert_eq!(
            offer.check(Some(stale)).unwrap_err().to_string(),
            "the offer carries 198.51.100.7 but not 198.51.100.8: the mapping is wrong"
        );
        offer.candidates.clear();
        assert_eq!(
            offer.check(Some(right)).unwrap_err().to_string(),
            "the offer carries no address: the mapping 10.0.0.7 → 198.51.100.7 is wrong"
        );
    }

    #[test]
    fn other_stanzas_are_no_offer() {
        let terminate = "<iq xmlns='jabber:client' type='set'><jingle xmlns='urn:xmpp:jingle:1' \
                         action='session-terminate'/></iq>";
        assert!(Offer::read(&terminate.parse().unwrap()).is_none());
        let empty = "<iq xmlns='jabber:client' type='set'><jingle xmlns='urn:xmpp:jingle:1' \
                     action='session-initiate'/></iq>";
        assert!(Offer::read(&empty.parse().unwrap()).unwrap().is_err());
    }
}
