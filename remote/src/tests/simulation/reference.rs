//! The reference: the outcome that each item must have.

use bytes::Bytes;

use crate::gap::Gap;
use crate::tests::simulation::plan::Plan;

/// The behaviour of the job of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Succeeds,
    /// Fails in this many first attempts.
    FailsAtFirst(u32),
    AlwaysFails,
    /// Reports that no attempt will succeed.
    FailsForEver,
    KillsItsWorker,
    /// The task, or the value, has this size.
    LargeTask(usize),
    LargeValue(usize),
}

pub(super) fn kind(plan: &Plan, index: u64) -> Kind {
    // A hash, so that neighbours differ, and different seeds have different kinds.
    let hash = (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ plan.seed.rotate_left(17);
    let hash = hash.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32;
    match hash % 32 {
        _ if !plan.with_failures => Kind::Succeeds,
        0 | 1 => Kind::FailsAtFirst((hash >> 8) as u32 % 3 + 1),
        2 => Kind::AlwaysFails,
        3 => Kind::FailsForEver,
        4 => Kind::KillsItsWorker,
        5 => Kind::LargeTask((hash >> 8) as usize % 200),
        6 => Kind::LargeValue((hash >> 8) as usize % 200),
        _ => Kind::Succeeds,
    }
}

/// Returns the task: the index, and bytes up to its size.
pub(super) fn task(plan: &Plan, index: u64) -> Bytes {
    let mut task = index.to_le_bytes().to_vec();
    if let Kind::LargeTask(size) = kind(plan, index) {
        task.resize(8 + size, 1);
    }
    task.into()
}

/// Returns the value of an item whose job succeeds.
pub(super) fn value(plan: &Plan, index: u64) -> Bytes {
    let mut value = (index * index).to_le_bytes().to_vec();
    if let Kind::LargeValue(size) = kind(plan, index) {
        value.resize(8 + size, 2);
    }
    value.into()
}

/// Fails unless an item may have this outcome.
pub(super) fn check(plan: &Plan, index: u64, outcome: &Result<Bytes, Gap>) {
    let expected = value(plan, index);
    // With few attempts, an engine that loses messages and workers that die use them up.
    let may_have_no_answer = plan.with_failures;
    let allowed = match (kind(plan, index), outcome) {
        (Kind::AlwaysFails, Err(Gap::Failed { attempts, .. })) => *attempts == plan.attempts,
        (Kind::FailsForEver, Err(Gap::Failed { attempts, .. })) => *attempts <= plan.attempts,
        (Kind::KillsItsWorker, Err(Gap::Failed { attempts, .. })) => *attempts == plan.attempts,
        (Kind::AlwaysFails | Kind::FailsForEver | Kind::KillsItsWorker, Ok(_)) => false,
        (Kind::FailsAtFirst(times), Err(Gap::Failed { attempts, .. })) => {
            *attempts == plan.attempts && (*attempts <= times || may_have_no_answer)
        }
        (Kind::LargeTask(size), Err(Gap::TaskTooLarge { given, allowed })) => {
            *given == size as u64 + 8 && given > allowed
        }
        (Kind::LargeValue(size), Err(Gap::ResultTooLarge { given, allowed })) => {
            *given == size as u64 + 8 && given > allowed
        }
        (_, Ok(value)) => *value == expected,
        (_, Err(Gap::NoAnswer { attempts, .. } | Gap::Failed { attempts, .. })) => {
            may_have_no_answer && *attempts == plan.attempts
        }
        (_, Err(_)) => false,
    };
    assert!(allowed, "item {index}, {:?}, has the outcome {outcome:?}", kind(plan, index));
}
