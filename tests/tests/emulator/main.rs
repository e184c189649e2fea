//! The built `jitsi-aws` against the AWS emulator.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod aliases; // DNS records of domains that are no longer configured
mod answers; // what is not AWS's answers, and files without an end
mod beside; // what somebody else's does to ours is told
mod confirmed; // what was agreed to, and no more, is deleted
mod drift; // what was changed by hand is mended
mod faults; // lost answers, refusals, kills: the next run goes on
mod foreign; // whatever is somebody else's stays as it is
mod harm; // what a failover test does, and what it may leave behind
mod held; // an instance that tries on in vain
mod hints; // the advice is followed
mod images; // of which image an instance is made
mod inputs; // what is refused before the first call
mod interrupt; // Ctrl-C ends what was begun, and no more
mod life; // nothing → complete → unchanged → changed → nothing
mod list; // which deployments there are, and whose the files on this machine are
mod losses; // what plan announces of what is gone is what setup does
mod manners; // the whole life, several times, as AWS really answers
mod operators; // two at once, one killed, and how they take turns
mod partitions; // what the deployer knows of them is what the SDKs know
mod privileges; // the deployer's policies allow exactly what it does
mod prompts; // Ctrl-C and Ctrl-D at every question
mod properties; // every property of a complete deployment, read back through the API
mod proxy; // the only way to AWS in many companies
mod reruns; // what is said of what is as it should be, and the words for what is not
mod rights; // the deployer's own, where they must change before a stage can be set up
mod screens; // whole screens of a deployment's life
mod shells; // completions in real shells, and the manual
mod streams; // stdout and stderr: one document, and nothing lost quietly
mod terminal; // real terminals, capable and not
mod truth; // what plan and setup say
mod twins; // two of a kind are told apart by what is in use
