//! The search for an order of the steps of a history.
//!
//! It is the search of Wing and Gong, with the memory of Lowe: "Testing for linearizability", 2017.
//! A configuration is the set of steps that have taken effect, with the state of the specification.
//! The search visits no configuration twice, so it always ends.

use std::collections::HashMap;

use crate::spec::{Spec, Step};

/// A step, and the times at which its call began and ended. All times of a history differ, but for
/// the steps of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimedStep {
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) step: Step,
}

/// Searches for an order in which each step takes effect between its times.
///
/// # Errors
///
/// Returns the time of the first event that no order explains. It is the end of a call.
pub(crate) fn find_order(spec: &Spec, mut steps: Vec<TimedStep>) -> Result<(), u64> {
    steps.sort_by_key(|step| step.ended);
    let mut done = vec![false; steps.len()];
    let mut search = Search { steps, visited: HashMap::new(), reached: 0 };
    if search.finds_order(&mut done, spec) { Ok(()) } else { Err(search.reached) }
}

struct Search {
    /// The steps, by the times at which their calls ended.
    steps: Vec<TimedStep>,
    /// The visited states, by the steps that have taken effect.
    visited: HashMap<Vec<bool>, Vec<Spec>>,
    /// The latest end of a call that the search has reached. Some order explains all events before
    /// it.
    reached: u64,
}

impl Search {
    /// Returns `true` if the remaining steps have an order, beginning in the state `spec`.
    fn finds_order(&mut self, done: &mut Vec<bool>, spec: &Spec) -> bool {
        let Some(first) = done.iter().position(|&is_done| !is_done) else { return true };
        // A step must take effect before any call ends without its steps.
        let end = self.steps[first].ended;
        self.reached = self.reached.max(end);
        let states = self.visited.entry(done.clone()).or_default();
        if states.contains(spec) {
            return false;
        }
        states.push(spec.clone());
        for number in first..self.steps.len() {
            let TimedStep { began, step, .. } = self.steps[number];
            if done[number] || began > end {
                continue;
            }
            let mut after = spec.clone();
            if after.step(step) {
                done[number] = true;
                if self.finds_order(done, &after) {
                    return true;
                }
                done[number] = false;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Cell;
    use crate::spec::Side;
    use crate::{Gap, HeadState, Reason, ReserveError, TryNextError};
    use reorder_stress::Random;

    fn timed(began: u64, ended: u64, step: Step) -> TimedStep {
        TimedStep { began, ended, step }
    }

    /// Returns the specification of an open batch on a ring of two slots, after these steps.
    fn after(steps: &[Step]) -> Spec {
        let mut spec = Spec::new(2);
        for &step in [Step::Open(Ok(()))].iter().chain(steps) {
            assert!(spec.step(step), "{step:?}");
        }
        spec
    }

    #[test]
    fn overlapping_calls_have_any_order() {
        let [value, claim] = [Cell::Ready(7), Cell::Writing];
        let spec = after(&[Step::CheckCancel, Step::Reserve(Ok(0)), Step::Claim(0, claim, Ok(()))]);
        let taken = |began| {
            find_order(
                &spec,
                vec![
                    timed(0, 5, Step::Publish(0, value)),
                    timed(1, 2, Step::Take(0, Ok(7))),
                    timed(began, 6, Step::NoDelivery(TryNextError::Pending)),
                    timed(began, 6, Step::Head(HeadState::Ready)),
                ],
            )
        };
        assert_eq!(taken(0), Ok(()));
        // The head was taken at the time 2.
        assert_eq!(taken(3), Err(6));
    }

    #[test]
    fn reservation_may_follow_the_cancellation_that_it_did_not_see() {
        let reserved = |began| {
            find_order(
                &after(&[]),
                vec![
                    timed(began, 7, Step::CheckCancel),
                    timed(began, 7, Step::Reserve(Ok(0))),
                    timed(1, 9, Step::CancelToLeave),
                    timed(1, 9, Step::Leave(Side::Consumer)),
                    timed(1, 9, Step::Left(Side::Consumer)),
                    timed(2, 3, Step::Cancel(false)),
                    timed(4, 5, Step::Rebuild(0, false)),
                    timed(10, 11, Step::Claim(0, Cell::Writing, Err(Reason::Stale))),
                ],
            )
        };
        assert_eq!(reserved(0), Ok(()));
        // The batch was cancelled at the time 3.
        assert_eq!(reserved(6), Err(7));
    }

    /// Returns steps of which some are possible in any state.
    fn all_steps() -> Vec<Step> {
        let [evicted, leaving] = [Gap::Evicted, Gap::Abandoned].map(Cell::Leaving);
        let mut steps = vec![
            Step::CheckCancel,
            Step::Reserve(Err(ReserveError::Full)),
            Step::Free,
            Step::NoDelivery(TryNextError::Pending),
            Step::Head(HeadState::Missing),
            Step::Cancel(true),
            Step::CancelToLeave,
            Step::Leave(Side::Consumer),
            Step::Left(Side::Consumer),
        ];
        for position in 0..3 {
            steps.extend([
                Step::Reserve(Ok(position)),
                Step::Rebuild(position, true),
                Step::Claim(position, Cell::Writing, Ok(())),
                Step::Claim(position, evicted, Ok(())),
                Step::Claim(position, leaving, Err(Reason::Settled)),
                Step::Publish(position, Cell::Ready(position as usize)),
                Step::AbandonClaim(position),
                Step::AbandonPublish(position),
                Step::Take(position, Ok(position as usize)),
                Step::Take(position, Err(Gap::Evicted)),
            ]);
        }
        steps
    }

    /// Searches as `find_order` does, but without its memory.
    fn slowly_find_order(spec: &Spec, steps: &[TimedStep]) -> Result<(), u64> {
        let mut reached = match steps.iter().map(|step| step.ended).min() {
            Some(end) => end,
            None => return Ok(()),
        };
        for (number, &TimedStep { began, step, .. }) in steps.iter().enumerate() {
            let is_next = steps.iter().all(|other| other.ended > began);
            let mut after = spec.clone();
            if is_next && after.step(step) {
                let rest = [&steps[..number], &steps[number + 1..]].concat();
                match slowly_find_order(&after, &rest) {
                    Ok(()) => return Ok(()),
                    Err(end) => reached = reached.max(end),
                }
            }
        }
        Err(reached)
    }

    /// Takes a random step that is possible in this state.
    fn take_random_step(spec: &mut Spec, steps: &[Step], random: &mut Random) -> Step {
        loop {
            let (step, mut after) = (steps[random.below(steps.len())], spec.clone());
            if after.step(step) {
                *spec = after;
                return step;
            }
        }
    }

    #[test]
    fn memory_changes_no_answer() {
        let (all, mut found) = (all_steps(), 0);
        for seed in 0..20_000 {
            let mut random = Random::new(seed);
            let mut spec = after(&[]);
            for _ in 0..8 {
                take_random_step(&mut spec, &all, &mut random);
            }
            let mut last = spec.clone();
            let mut steps: Vec<_> = (0..6)
                .map(|number| {
                    let step = take_random_step(&mut last, &all, &mut random);
                    let [before, behind] = [(); 2].map(|()| random.below(30) as u64);
                    let time = 30 + 10 * number;
                    // Beginnings are even and ends are odd, so they differ.
                    timed(2 * (time - before), 2 * (time + behind) + 1, step)
                })
                .collect();
            // Another step in its place: most of these histories have no order.
            if random.once_in(2) {
                steps[random.below(6)].step = all[random.below(all.len())];
            }
            let order = find_order(&spec, steps.clone());
            assert_eq!(order, slowly_find_order(&spec, &steps), "{steps:?}");
            found += u64::from(order.is_ok());
        }
        assert!((11_000..19_000).contains(&found), "{found} of 20,000 have an order");
    }
}
