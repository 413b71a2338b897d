use cellmill_engine::keep::Precision;
use cellmill_engine::reduce::{CellTotals, Gram};
use cellmill_engine::testing::random_counts;
use cellmill_engine::{
    Block, BlockReader, Budget, Context, Error, Event, Grid, KeptColumns, Observer, Op, Reduce,
    Result, Sink, Source, run_stage,
};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A source that fails in some blocks, by an error or a panic.
struct Failing<'a> {
    source: &'a dyn Source,
    errors: Vec<usize>,
    panics: Vec<usize>,
}

struct FailingReader<'a> {
    inner: Box<dyn BlockReader + 'a>,
    next: usize,
    of: &'a Failing<'a>,
}

impl Source for Failing<'_> {
    fn n_cols(&self) -> u32 {
        self.source.n_cols()
    }
    fn nnz(&self) -> Option<u64> {
        None
    }
    fn grid(&self) -> &Grid {
        self.source.grid()
    }
    fn open(&self, blocks: Range<usize>) -> Result<Box<dyn BlockReader + '_>> {
        Ok(Box::new(FailingReader {
            next: blocks.start,
            inner: self.source.open(blocks)?,
            of: self,
        }))
    }
    fn reader_bytes(&self) -> u64 {
        self.source.reader_bytes()
    }
    fn describe(&self) -> String {
        "a failing source".to_owned()
    }
}

impl BlockReader for FailingReader<'_> {
    fn next_block(&mut self, block: &mut Block) -> Result<bool> {
        self.next += 1;
        assert!(
            !self.of.panics.contains(&(self.next - 1)),
            "block {} panics",
            self.next - 1
        );
        if self.of.errors.contains(&(self.next - 1)) {
            return Err(Error::Data(format!("block {} is bad", self.next - 1)));
        }
        self.inner.next_block(block)
    }
}

#[test]
fn the_lowest_error_is_returned_by_any_number_of_threads() {
    let matrix = random_counts(200, 10, 1);
    let source = matrix.source().unwrap().with_block_rows(1);
    for threads in [1, 2, 5] {
        let ctx = Context::quiet(threads).unwrap();
        for _ in 0..20 {
            let failing = Failing {
                source: &source,
                errors: vec![60, 61, 63, 66, 150],
                panics: vec![],
            };
            let error = run_stage(&ctx, "fails", &failing, &[], &CellTotals, &()).unwrap_err();
            assert_eq!(error.to_string(), "block 60 is bad");
        }
        let failing = Failing {
            source: &source,
            errors: vec![70],
            panics: vec![33],
        };
        let error = run_stage(&ctx, "panics", &failing, &[], &CellTotals, &()).unwrap_err();
        assert!(
            matches!(&error, Error::Bug(text) if text == "block 33 panics"),
            "{error}"
        );
        assert_eq!(ctx.budget().used(), 0);
        // The pool still works.
        assert_eq!(
            run_stage(&ctx, "again", &source, &[], &CellTotals, &())
                .unwrap()
                .total
                .len(),
            200
        );
    }
}

/// Counts the states that are alive.
struct Live {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Reduce for Live {
    type State = u64;
    type Output = u64;
    fn start(&self) -> u64 {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        0
    }
    fn fold(&self, state: &mut u64, block: &Block) -> Result<()> {
        if block.first_row == 0 {
            // The first span is slow; the others must wait for it.
            std::thread::sleep(std::time::Duration::from_millis(30));
        }
        *state += block.n_rows() as u64;
        Ok(())
    }
    fn merge(&self, left: u64, right: u64) -> Result<u64> {
        self.now.fetch_sub(1, Ordering::SeqCst);
        Ok(left + right)
    }
    fn finish(&self, state: u64) -> Result<u64> {
        Ok(state)
    }
    fn state_bytes(&self, _rows: u64) -> u64 {
        8
    }
}

#[test]
fn few_states_are_alive_at_once() {
    let matrix = random_counts(1280, 5, 1);
    let source = matrix.source().unwrap().with_block_rows(10);
    for threads in [1, 4] {
        let live = Live {
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        };
        let n = run_stage(
            &Context::quiet(threads).unwrap(),
            "live",
            &source,
            &[],
            &live,
            &(),
        )
        .unwrap();
        assert_eq!(n, 1280);
        let bound = if threads == 1 { 2 } else { 2 * threads } + 7 + 1;
        let most = live.most.load(Ordering::SeqCst);
        assert!(
            most <= bound,
            "{most} states of {} spans",
            source.grid().n_spans()
        );
    }
}

#[derive(Default)]
struct Heard(Mutex<Vec<Event>>);

impl Observer for Heard {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

#[test]
fn stages_are_announced_and_cancelled() {
    let matrix = random_counts(100, 5, 1);
    let source = matrix.source().unwrap().with_block_rows(1);
    let heard = Arc::new(Heard::default());
    let ctx = Context::new(2, Budget::unlimited(), heard.clone(), std::env::temp_dir()).unwrap();
    run_stage(&ctx, "totals", &source, &[], &CellTotals, &()).unwrap();
    let events = heard.0.lock().unwrap().clone();
    assert_eq!(
        events[0],
        Event::StageStarted {
            stage: "totals".into(),
            total: 100,
            unit: "cells".into()
        }
    );
    assert!(
        matches!(&events[events.len() - 1], Event::StageFinished { stage, .. } if stage == "totals")
    );
    ctx.cancel().cancel();
    assert!(matches!(
        run_stage(&ctx, "no", &source, &[], &CellTotals, &()),
        Err(Error::Cancelled)
    ));
}

#[test]
fn a_budget_too_small_says_what_would_do() {
    let matrix = random_counts(100, 50, 1);
    let source = matrix.source().unwrap();
    let ctx = Context::new(2, Budget::new(1000), Arc::new(()), std::env::temp_dir()).unwrap();
    let error = run_stage(&ctx, "gram", &source, &[], &Gram::new(50), &()).unwrap_err();
    assert!(
        error.to_string().starts_with("the stage \"gram\" needs "),
        "{error}"
    );
}

#[test]
fn a_full_scratch_folder_is_an_error_with_its_name() {
    let matrix = random_counts(100, 50, 1);
    let source = matrix.source().unwrap();
    let folder = std::env::temp_dir().join("cellmill-no-such-folder");
    let ctx = Context::new(1, Budget::unlimited(), Arc::new(()), folder.clone()).unwrap();
    let kept = KeptColumns::with_memory(&ctx, source.grid(), 50, Precision::F32, 0);
    let error = run_stage(&ctx, "keep", &source, &[], &(), &kept).unwrap_err();
    assert!(
        error.to_string().contains(folder.to_str().unwrap()),
        "{error}"
    );
    assert!(kept.open(0..1).is_err());
}

/// A sink whose accept fails for one span.
struct Refusing;

impl Sink for Refusing {
    type Part = usize;
    fn start(&self, span: usize) -> usize {
        span
    }
    fn push(&self, _part: &mut usize, _block: &Block) -> Result<()> {
        Ok(())
    }
    fn accept(&self, part: usize) -> Result<()> {
        if part == 5 {
            Err(Error::Data("span 5 was refused".to_owned()))
        } else {
            Ok(())
        }
    }
    fn part_bytes(&self, _span_entries: u64, _span_rows: u64) -> u64 {
        0
    }
}

#[test]
fn a_sink_that_refuses_stops_the_stage() {
    let matrix = random_counts(100, 5, 1);
    let source = matrix.source().unwrap().with_block_rows(1);
    for threads in [1, 4] {
        let failing = Failing {
            source: &source,
            errors: vec![9],
            panics: vec![],
        };
        let ctx = Context::quiet(threads).unwrap();
        let error = run_stage(&ctx, "refused", &failing, &[], &(), &Refusing).unwrap_err();
        assert_eq!(error.to_string(), "span 5 was refused");
    }
}

#[test]
fn ops_that_do_not_fit_are_refused_before_reading() {
    let matrix = random_counts(10, 5, 1);
    let source = matrix.source().unwrap();
    let failing = Failing {
        source: &source,
        errors: vec![],
        panics: vec![0],
    };
    let ops = [Op::SelectGenes { genes: vec![7] }];
    let error = run_stage(&Context::quiet(1).unwrap(), "no", &failing, &ops, &(), &()).unwrap_err();
    assert!(matches!(error, Error::Parameter(_)));
}
