//! Random sequences of operations. Each answer is compared with a sequential model.

mod by_index;
mod coverage;
mod model;
mod ops;
mod taking;
mod world;

use std::boxed::Box;
use std::cell::RefCell;
use std::sync::Arc;
use std::vec::Vec;

use proptest::arbitrary::any;
use proptest::collection::vec;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::Counted;
use crate::ring::tag::GENERATIONS;
use crate::{Batch, Busy, Ring};
use coverage::Coverage;
use model::Model;
use ops::{Op, Start};
use world::World;

const CASES: u32 = if cfg!(miri) { 20 } else { 8_000 };
const LENGTH: usize = if cfg!(miri) { 40 } else { 120 };

#[test]
fn every_sequence_of_operations_agrees_with_the_model() {
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let coverage = RefCell::new(Coverage::default());
    let cases = (1..=9_usize, ops::start(), vec(ops::op(), 0..LENGTH), any::<[bool; 2]>());
    let cases = cases.prop_map(|(capacity, start, ops, [owned, resumed])| Case {
        capacity,
        start,
        ops,
        owned,
        resumed,
    });

    let outcome = TestRunner::new_with_rng(config, rng).run(&cases, |case| {
        case.run(&mut coverage.borrow_mut());
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    if !cfg!(miri) {
        coverage.borrow().assert_complete();
    }
}

#[derive(Clone, Debug)]
struct Case {
    capacity: usize,
    start: Start,
    ops: Vec<Op>,
    owned: bool,
    resumed: bool,
}

impl Case {
    fn run(&self, coverage: &mut Coverage) {
        let rounded = self.capacity.next_power_of_two() as u64;
        let end = GENERATIONS - rounded;
        let first = match self.start {
            Start::At(first) => first,
            Start::BeforeTheEnd(distance) => end - distance,
        };
        let mut model = Model::new(rounded, first, end);
        let ring = Arc::new(if self.resumed {
            model.first = 0;
            let predecessor = Ring::<()>::with_capacity(1).unwrap();
            Ring::resume(predecessor.id(), self.capacity, first).unwrap()
        } else {
            Ring::starting_at(self.capacity, first).unwrap()
        });
        assert_eq!(ring.capacity() as u64, rounded);
        let counter = if self.owned {
            let open: Open<'_, Arc<Ring<Counted>>> = Box::new(|| ring.open_owned());
            World::new(&ring, open, model, coverage).play(&self.ops)
        } else {
            let open: Open<'_, &Ring<Counted>> = Box::new(|| ring.open());
            World::new(&ring, open, model, coverage).play(&self.ops)
        };
        drop(ring);
        counter.assert_each_dropped_once();
    }
}

type Open<'r, R> = Box<dyn Fn() -> Result<Batch<R>, Busy> + 'r>;
