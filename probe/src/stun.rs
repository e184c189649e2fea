//! The authenticated STUN check, as ICE does it (RFC 8445 §7): the one question the bridge
//! answers, and only to whom it gave a password.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use stun_types::attribute::{ErrorCode, RawAttribute, Username};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, Message, MessageClass, MessageIntegrityCredentials, MessageWrite,
    MessageWriteExt, MessageWriteVec, ShortTermCredentials, StunWriteError,
};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use crate::failure::Failure;
use crate::offer::Offer;

/// ICE attributes (RFC 8445 §16.1), which `stun-types` leaves to ICE libraries.
const PRIORITY: u16 = 0x0024;
const ICE_CONTROLLED: u16 = 0x8029;

/// A peer-reflexive candidate's priority: type preference 110, the rest at its highest.
const PEER_REFLEXIVE: u32 = (110 << 24) | (0xffff << 8) | 255;

/// "Role conflict": the bridge did not want to control either. It knew the password, which is enough.
const ROLE_CONFLICT: u16 = 487;

/// The first wait for an answer; each further one is twice as long, up to `LONGEST_WAIT`.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_millis(800);

/// Largest answer worth reading: STUN stays below any MTU.
const ANSWER_LIMIT: usize = 1500;

/// What an address answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The bridge, after this time.
    Bridge(Duration),
    /// Somebody, but not the bridge: why.
    Impostor(String),
    /// Nobody.
    Silence,
    /// The machine there says that the port is closed.
    Closed,
    /// This machine knows no way there, for instance because it has no IPv6.
    NoRoute,
}

/// Asks `address` until it answers or `deadline` comes.
pub(crate) async fn check(
    address: SocketAddr,
    offer: &Offer,
    deadline: Instant,
) -> Result<Answer, Failure> {
    let setup = |e: io::Error| Failure::Setup(format!("opening a UDP socket: {e}"));
    let any: SocketAddr = if address.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = match UdpSocket::bind(any).await {
        Ok(socket) => socket,
        Err(e) if address.is_ipv6() && e.kind() == io::ErrorKind::AddrNotAvailable => {
            return Ok(Answer::NoRoute);
        }
        Err(e) => return Err(setup(e)),
    };
    // A connected socket hears only this address, and hears that a port is closed.
    if socket.connect(address).await.is_err() {
        return Ok(Answer::NoRoute);
    }
    let credentials = ShortTermCredentials::new(offer.pwd.clone()).into();
    let request = binding_request(&offer.ufrag, &credentials)?;

    let mut wait = FIRST_WAIT;
    let mut closed = false;
    let mut buffer = [0; ANSWER_LIMIT];
    while Instant::now() < deadline {
        let sent = Instant::now();
        if let Err(e) = socket.send(&request).await {
            match e.kind() {
                io::ErrorKind::ConnectionRefused => closed = true,
                io::ErrorKind::NetworkUnreachable => return Ok(Answer::NoRoute),
                // EPERM from a local firewall, ENOBUFS: as good as a lost packet.
                _ => {}
            }
        }
        let until = deadline.min(sent + wait);
        while let Ok(received) = timeout_at(until, socket.recv(&mut buffer)).await {
            let Ok(length) = received else {
                closed = true;
                tokio::time::sleep_until(until).await;
                break;
            };
            match judge(&buffer[..length], &request, &credentials) {
                Some(Ok(())) => return Ok(Answer::Bridge(sent.elapsed())),
                Some(Err(why)) => return Ok(Answer::Impostor(why)),
                None => {}
            }
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    Ok(if closed { Answer::Closed } else { Answer::Silence })
}

fn binding_request(
    bridge_ufrag: &str,
    credentials: &MessageIntegrityCredentials,
) -> Result<Vec<u8>, Failure> {
    let username = Username::new(&format!("{bridge_ufrag}:probe"))
        .map_err(|e| Failure::BadOffer(format!("its ufrag does not fit STUN: {e}")))?;
    let mut request = Message::builder_request(BINDING, MessageWriteVec::new());
    let mut complete = || {
        request.add_attribute(&username)?;
        request
            .add_attribute(&RawAttribute::new(PRIORITY.into(), &PEER_REFLEXIVE.to_be_bytes()))?;
        // jicofo lets the bridge control. A check must not change that (RFC 8445 §7.3.1.1): the
        // participants' own come next.
        let tie_breaker = 0_u64.to_be_bytes();
        request.add_attribute(&RawAttribute::new(ICE_CONTROLLED.into(), &tie_breaker))?;
        request.add_message_integrity(credentials, IntegrityAlgorithm::Sha1)?;
        request.add_fingerprint()
    };
    complete().map_err(|e: StunWriteError| Failure::Setup(format!("writing STUN: {e}")))?;
    Ok(request.finish())
}

/// Whether `datagram` is the bridge's answer to `request`. `None`: it has nothing to do with it.
fn judge(
    datagram: &[u8],
    request: &[u8],
    credentials: &MessageIntegrityCredentials,
) -> Option<Result<(), String>> {
    let answer = Message::from_bytes(datagram).ok()?;
    let request = Message::from_bytes(request).ok()?;
    if answer.transaction_id() != request.transaction_id() || !answer.has_method(BINDING) {
        return None;
    }
    let error = answer.attribute::<ErrorCode>().map(|error| error.code()).ok();
    let known = match answer.class() {
        MessageClass::Success => true,
        MessageClass::Error => error == Some(ROLE_CONFLICT),
        MessageClass::Request | MessageClass::Indication => return None,
    };
    if !known {
        return Some(Err(format!("STUN error {}", error.unwrap_or_default())));
    }
    Some(match answer.validate_integrity(credentials) {
        Ok(_) => Ok(()),
        Err(_) => Err("its answer is not signed with the bridge's password".into()),
    })
}

#[cfg(test)]
mod tests {
    use stun_types::attribute::XorMappedAddress;

    use super::*;
    use crate::offer::Session;

    fn credentials(password: &str) -> MessageIntegrityCredentials {
        ShortTermCredentials::new(password.into()).into()
    }

    fn offer() -> Offer {
        Offer {
            ufrag: "e00dt1k7tea43c".into(),
            pwd: "secret".into(),
            candidates: vec![],
            session: Session { focus: String::new(), initiator: String::new(), sid: String::new() },
            media: Err(Failure::BadOffer("no media".into())),
        }
    }

    /// What a bridge with `password` answers.
    fn success(request: &[u8], password: &str) -> Vec<u8> {
        let request = Message::from_bytes(request).unwrap();
        let mut answer = Message::builder_success(&request, MessageWriteVec::new());
        let from = "192.0.2.1:40000".parse().unwrap();
        answer.add_attribute(&XorMappedAddress::new(from, request.transaction_id())).unwrap();
        answer.add_message_integrity(&credentials(password), IntegrityAlgorithm::Sha1).unwrap();
        answer.add_fingerprint().unwrap();
        answer.finish()
    }

    fn error(request: &[u8], code: u16, password: &str) -> Vec<u8> {
        let request = Message::from_bytes(request).unwrap();
        let mut answer = Message::builder_error(&request, MessageWriteVec::new());
        answer.add_attribute(&ErrorCode::builder(code).build().unwrap()).unwrap();
        answer.add_message_integrity(&credentials(password), IntegrityAlgorithm::Sha1).unwrap();
        answer.finish()
    }

    #[test]
    fn the_request_is_what_ice_asks_for() {
        let request = binding_request("e00dt1k7tea43c", &credentials("secret")).unwrap();
        let request = Message::from_bytes(&request).unwrap();
        assert!(request.has_class(MessageClass::Request) && request.has_method(BINDING));
        assert_eq!(request.attribute::<Username>().unwrap().username(), "e00dt1k7tea43c:probe");
        let raw = |kind: u16| request.raw_attribute(kind.into()).unwrap().value.to_vec();
        assert_eq!(raw(PRIORITY), [0x6e, 0xff, 0xff, 0xff]);
        assert_eq!(raw(ICE_CONTROLLED), [0; 8]);
        assert!(request.validate_integrity(&credentials("secret")).is_ok());
        assert!(request.validate_integrity(&credentials("wrong")).is_err());
        assert!(request.has_attribute(0x8028.into()), "FINGERPRINT");
    }

    #[test]
    fn only_the_bridges_own_answer_counts() {
        let password = credentials("secret");
        let request = binding_request("u", &password).unwrap();
        let other = binding_request("u", &password).unwrap();
        let verdict = |datagram: &[u8]| judge(datagram, &request, &password);
        assert_eq!(verdict(&success(&request, "secret")), Some(Ok(())));
        assert_eq!(verdict(&error(&request, 487, "secret")), Some(Ok(())));
        assert!(verdict(&success(&request, "other")).unwrap().is_err());
        assert_eq!(verdict(&error(&request, 401, "secret")), Some(Err("STUN error 401".into())));
        assert_eq!(verdict(&success(&other, "secret")), None, "another transaction");
        assert_eq!(verdict(&request), None, "our own request, reflected");
        assert_eq!(verdict(b"hello"), None);
    }

    async fn bridge() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    #[tokio::test]
    async fn a_lost_packet_is_sent_again() {
        let (socket, address) = bridge().await;
        let offer = offer();
        let bridge = async {
            let mut buffer = [0; ANSWER_LIMIT];
            let (first, _) = socket.recv_from(&mut buffer).await.unwrap();
            let first = buffer[..first].to_vec();
            let (second, from) = socket.recv_from(&mut buffer).await.unwrap();
            assert_eq!(first, buffer[..second], "the same transaction");
            socket.send_to(&success(&buffer[..second], "secret"), from).await.unwrap();
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        let (answer, ()) = tokio::join!(check(address, &offer, deadline), bridge);
        assert!(matches!(answer, Ok(Answer::Bridge(_))), "{answer:?}");
    }

    #[tokio::test]
    async fn silence_and_closed_ports_are_told_apart() {
        let (socket, address) = bridge().await;
        let soon = || Instant::now() + Duration::from_millis(150);
        assert_eq!(check(address, &offer(), soon()).await, Ok(Answer::Silence));
        drop(socket);
        assert_eq!(check(address, &offer(), soon()).await, Ok(Answer::Closed));
    }
}
