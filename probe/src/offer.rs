//! jicofo's Jingle offer: what the bridge tells about itself.

use std::net::{IpAddr, SocketAddr};

use minidom::Element;

use crate::failure::Failure;
use crate::stanza::{DTLS, HEADER_EXTENSIONS, ICE_UDP, JINGLE, RTP, SCTP};
use crate::target::{Depth, Mapping};

/// The bridge's side of one participant's media transport.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Offer {
    pub(crate) ufrag: String,
    pub(crate) pwd: String,
    pub(crate) candidates: Vec<Candidate>,
    /// Where to accept it.
    pub(crate) session: Session,
    /// What it takes to speak, or what of that the offer lacks.
    pub(crate) media: Result<Media, Failure>,
}

/// The Jingle session an offer opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// jicofo in the room.
    pub(crate) focus: String,
    pub(crate) initiator: String,
    pub(crate) sid: String,
}

/// The bridge's media, as far as two participants who speak need to know it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Media {
    /// Of the certificate the bridge must show: `AB:CD:…`, of SHA-256.
    pub(crate) fingerprint: String,
    /// The payload type of Opus.
    pub(crate) opus: u8,
    /// The header extension that tells how loud a packet is (RFC 6464).
    pub(crate) audio_level_id: Option<u8>,
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
        let of = |element: &Element, name| element.attr(name).unwrap_or_default().to_owned();
        let session = Session {
            focus: of(iq, "from"),
            initiator: of(jingle, "initiator"),
            sid: of(jingle, "sid"),
        };
        Some(Self::from_contents(jingle, &session))
    }

    fn from_contents(jingle: &Element, session: &Session) -> Result<Self, Failure> {
        let media = Media::read(jingle);
        let mut offer: Option<Self> = None;
        for transport in transports(jingle) {
            let attr = |name: &str| {
                transport
                    .attr(name)
                    .map(ToOwned::to_owned)
                    .ok_or_else(|| Failure::BadOffer(format!("a transport without {name}")))
            };
            let (ufrag, pwd) = (attr("ufrag")?, attr("pwd")?);
            let offer = offer.get_or_insert_with(|| Self {
                ufrag,
                pwd,
                candidates: Vec::new(),
                session: session.clone(),
                media: media.clone(),
            });
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
    pub(crate) fn check(&self, mapping: Option<Mapping>, depth: Depth) -> Result<(), Failure> {
        if depth != Depth::Reached {
            self.media.as_ref().map_err(Clone::clone)?;
        }
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

impl Media {
    fn read(jingle: &Element) -> Result<Self, Failure> {
        let lacks = |what: &str| Failure::BadOffer(format!("it has no {what}"));
        let fingerprint = transports(jingle)
            .find_map(|transport| transport.get_child("fingerprint", DTLS))
            .ok_or_else(|| lacks("fingerprint"))?;
        let hash = fingerprint.attr("hash").unwrap_or("sha-256");
        if hash != "sha-256" {
            return Err(Failure::BadOffer(format!("its fingerprint is made by {hash}")));
        }
        let fingerprint = fingerprint.text().trim().to_ascii_uppercase();
        let audio = jingle
            .children()
            .filter_map(|content| content.get_child("description", RTP))
            .find(|description| description.attr("media") == Some("audio"))
            .ok_or_else(|| lacks("audio"))?;
        let number = |element: &Element| element.attr("id").and_then(|id| id.parse::<u8>().ok());
        let opus = audio
            .children()
            .filter(|child| child.is("payload-type", RTP))
            .find(|payload| payload.attr("name").is_some_and(|n| n.eq_ignore_ascii_case("opus")))
            .and_then(number)
            .ok_or_else(|| lacks("Opus"))?;
        let audio_level_id = audio
            .children()
            .filter(|child| child.is("rtp-hdrext", HEADER_EXTENSIONS))
            .find(|extension| extension.attr("uri") == Some(AUDIO_LEVEL))
            .and_then(number);
        if !transports(jingle).any(|transport| transport.has_child("sctpmap", SCTP)) {
            return Err(lacks("bridge channel (SCTP)"));
        }
        Ok(Self { fingerprint, opus, audio_level_id })
    }
}

/// How loud a packet is (RFC 6464).
const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";

fn transports(jingle: &Element) -> impl Iterator<Item = &Element> {
    jingle.children().filter_map(|content| content.get_child("transport", ICE_UDP))
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
                session: Session {
                    focus: "capture2@conference.meet.example.com/focus".into(),
                    initiator: "focus@auth.meet.example.com/focus".into(),
                    sid: "1hr7s7ro25agl".into(),
                },
                media: Ok(Media {
                    fingerprint: "E1:9F:6C:D1:8E:11:56:88:B1:AE:13:F1:28:A3:C0:36:6B:CE:44:35:\
                                  0C:64:F6:CC:BB:CB:B7:D4:6B:90:B6:8B"
                        .into(),
                    opus: 111,
                    audio_level_id: Some(1),
                }),
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
        assert_eq!(offer.check(Some(right), Depth::Reached), Ok(()));
        assert_eq!(
            offer.check(Some(stale), Depth::Reached).unwrap_err().to_string(),
            "the offer carries 198.51.100.7 but not 198.51.100.8: the mapping is wrong"
        );
        offer.candidates.clear();
        assert_eq!(
            offer.check(Some(right), Depth::Reached).unwrap_err().to_string(),
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
