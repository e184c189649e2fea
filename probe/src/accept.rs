//! A participant's answer to jicofo's offer, as lib-jitsi-meet gives it (`JingleSessionPC.ts`,
//! `_sendSessionAccept`): where it is reached, what proves its identity, and what it speaks as.
#![expect(clippy::transmute_ptr_to_ptr, reason = "how `xml_ncname!` checks names while compiling")]

use minidom::Element;
use rxml::xml_ncname;

use crate::call::Answer;
use crate::offer::{Media, Session};
use crate::stanza::{DTLS, ICE_UDP, JINGLE, RTP, With};

/// XEP-0339: sources of RTP.
const SOURCES: &str = "urn:xmpp:jingle:apps:rtp:ssma:0";

/// The highest priority a host candidate can have (RFC 8445 §5.1.2).
const HOST_PRIORITY: &str = "2130706431";

/// `session-accept` by `nick`. Audio only: the bridge asks for no video nobody wants.
pub(crate) fn session_accept(
    session: &Session,
    responder: &str,
    nick: &str,
    media: &Media,
    answer: &Answer,
) -> Element {
    let content = Element::builder("content", JINGLE)
        .with(xml_ncname!("creator"), "initiator")
        .with(xml_ncname!("name"), "audio")
        .with(xml_ncname!("senders"), "both")
        .append(description(nick, media, answer))
        .append(transport(answer));
    Element::builder("jingle", JINGLE)
        .with(xml_ncname!("action"), "session-accept")
        .with(xml_ncname!("initiator"), &session.initiator)
        .with(xml_ncname!("responder"), responder)
        .with(xml_ncname!("sid"), &session.sid)
        .append(content)
        .build()
}

fn description(nick: &str, media: &Media, answer: &Answer) -> Element {
    let opus = Element::builder("payload-type", RTP)
        .with(xml_ncname!("id"), &media.opus.to_string())
        .with(xml_ncname!("name"), "opus")
        .with(xml_ncname!("clockrate"), "48000")
        .with(xml_ncname!("channels"), "2");
    // A source's name is the endpoint's id and a number (jicofo, `Source.kt`).
    let name = format!("{nick}-a0");
    let stream = Element::builder("parameter", SOURCES)
        .with(xml_ncname!("name"), "msid")
        .with(xml_ncname!("value"), &format!("{name} {name}"));
    let source = Element::builder("source", SOURCES)
        .with(xml_ncname!("ssrc"), &answer.ssrc.to_string())
        .with(xml_ncname!("name"), &name)
        .append(stream);
    Element::builder("description", RTP)
        .with(xml_ncname!("media"), "audio")
        .append(opus)
        .append(source)
        .append(Element::bare("rtcp-mux", RTP))
        .build()
}

fn transport(answer: &Answer) -> Element {
    let fingerprint = Element::builder("fingerprint", DTLS)
        .with(xml_ncname!("hash"), "sha-256")
        .with(xml_ncname!("setup"), "passive")
        .append(answer.fingerprint.as_str());
    let candidate = Element::builder("candidate", ICE_UDP)
        .with(xml_ncname!("component"), "1")
        .with(xml_ncname!("foundation"), "1")
        .with(xml_ncname!("generation"), "0")
        .with(xml_ncname!("id"), "1")
        .with(xml_ncname!("network"), "0")
        .with(xml_ncname!("protocol"), "udp")
        .with(xml_ncname!("type"), "host")
        .with(xml_ncname!("priority"), HOST_PRIORITY)
        .with(xml_ncname!("ip"), &answer.candidate.ip().to_string())
        .with(xml_ncname!("port"), &answer.candidate.port().to_string());
    Element::builder("transport", ICE_UDP)
        .with(xml_ncname!("ufrag"), &answer.ufrag)
        .with(xml_ncname!("pwd"), &answer.pwd)
        .append(Element::bare("rtcp-mux", ICE_UDP))
        .append(fingerprint)
        .append(candidate)
        .build()
}
