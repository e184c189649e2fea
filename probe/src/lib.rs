//! The meeting probe: two participants join a room nobody can guess, take jicofo's offer of a bridge,
//! and ask the bridge with an authenticated STUN check whether media would reach it. From outside
//! (feature `call`) they accept the offer and hear each other, as browsers do: ICE, DTLS-SRTP, the
//! bridge's channel and audio. Jitsi's own health answers stay green in several situations in which no
//! meeting is possible; a meeting that was held cannot lie. Used from inside by the agent, from outside
//! by the deployer.

#![forbid(unsafe_code)]

#[cfg(feature = "call")]
mod accept;
#[cfg(feature = "call")]
mod call;
mod certificate;
mod connection;
mod failure;
mod login;
mod media;
mod offer;
mod participant;
mod prober;
mod report;
mod request;
mod room;
mod stanza;
mod stream;
mod stun;
mod target;
mod token;

#[cfg(feature = "call")]
pub use call::crypto_provider;
pub use certificate::accept_any_certificate;
pub use failure::Failure;
pub use media::LOCAL;
pub use prober::{Observer, Prober};
pub use report::{Audio, Bridge, Outcome, Report, Step, StepName};
pub use room::{ROOM_PREFIX, is_probe_room};
pub use target::{Auth, Depth, Limits, Mapping, Secret, Target, Tls};
