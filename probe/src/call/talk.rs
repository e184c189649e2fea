//! Two participants speak at once, and each hears the other through the bridge.

use std::time::{Duration, Instant};

use str0m::rtp::{ExtensionValues, RtpWrite};

use super::{Call, drive};
use crate::failure::Failure;
use crate::report::{Audio, milliseconds};

/// One Opus frame.
const FRAME: Duration = Duration::from_millis(20);
const SAMPLES: u32 = 960;

/// Frames each participant must have spoken since it is heard: half a second.
const MEASURED: usize = 25;

/// How long the last frames may be on their way.
const STRAGGLERS: Duration = Duration::from_millis(500);

/// Opus' own silence: full band, one frame of 20 ms without content (RFC 6716 §3.1).
const SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];

/// Loud and spoken: a bridge need not forward what is silent (JVB, `loudest` and `silence`).
const LEVEL: i8 = -20;

/// Lets `calls` speak until both were heard for a while. Each frame's way leads from here to the bridge
/// and back, so that its travelling time is read on one clock.
pub(crate) async fn talk(
    calls: &mut [Call],
    deadline: tokio::time::Instant,
) -> Result<Audio, Failure> {
    let deadline = deadline.into_std();
    let mut spoken: Vec<Instant> = Vec::new();
    let mut next = Instant::now();
    let mut heard_since = None;
    while heard_since.is_none_or(|since| spoken.len() < since + MEASURED) {
        if Instant::now() >= deadline {
            return Err(unheard(calls, spoken.len()));
        }
        let number = u64::try_from(spoken.len()).unwrap_or_default();
        spoken.push(Instant::now());
        for call in calls.iter_mut() {
            call.speak(number);
        }
        next = (next + FRAME).max(Instant::now());
        drive(calls, next.min(deadline), |_| false).await?;
        if heard_since.is_none() && calls.iter().all(|call| !call.heard.packets.is_empty()) {
            heard_since = Some(spoken.len());
        }
    }
    let last = spoken.len().saturating_sub(1);
    let complete = |call: &Call| missing(call, last) == 0;
    drive(calls, Instant::now() + STRAGGLERS, complete).await?;
    judge(calls, &spoken)
}

fn judge(calls: &[Call], spoken: &[Instant]) -> Result<Audio, Failure> {
    let last = spoken.len().saturating_sub(1);
    let (mut sent, mut lost, mut times) = (0, 0, Vec::new());
    for call in calls {
        let first = call.numbers().min().unwrap_or(last);
        sent += last - first + 1;
        lost += missing(call, last);
        times.extend(call.heard.packets.iter().filter_map(|packet| {
            let at = spoken.get(usize::try_from(*packet.seq_no).ok()?)?;
            Some(packet.timestamp.saturating_duration_since(*at))
        }));
    }
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    if lost * 2 > sent {
        return Err(Failure::Choppy { sent, lost });
    }
    Ok(Audio { packets: sent, lost, round_trip_ms: milliseconds(middle) })
}

/// Who does not hear whom.
fn unheard(calls: &[Call], spoken: usize) -> Failure {
    let deaf = calls.iter().filter(|call| call.heard.packets.is_empty()).count();
    if deaf == 0 {
        return Failure::Choppy { sent: spoken, lost: spoken };
    }
    Failure::NoAudio { deaf, of: calls.len(), spoken }
}

/// How many of the frames from the first that arrived to `last` did not arrive.
fn missing(call: &Call, last: usize) -> usize {
    let mut numbers: Vec<usize> = call.numbers().filter(|&number| number <= last).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.first().map_or(1, |first| (last - first + 1).saturating_sub(numbers.len()))
}

impl Call {
    /// The frames heard.
    fn numbers(&self) -> impl Iterator<Item = usize> {
        self.heard.packets.iter().filter_map(|packet| usize::try_from(*packet.seq_no).ok())
    }

    fn speak(&mut self, number: u64) {
        let time = SAMPLES.wrapping_mul(u32::try_from(number).unwrap_or_default());
        let loud = ExtensionValues {
            audio_level: Some(LEVEL),
            voice_activity: Some(true),
            ..ExtensionValues::default()
        };
        let frame =
            RtpWrite::new(self.media.opus.into(), number.into(), time, Instant::now(), SILENCE)
                .marker(number == 0)
                .ext_vals(loud);
        if let Some(stream) = self.rtc.direct_api().stream_tx(&self.ssrc.into()) {
            stream.write_rtp(frame);
        }
    }
}
