use cellmill_engine::plan::{Plan, PlannedOutput, ReduceSpec, StagePlan};
use cellmill_engine::reduce::{CellTotals, Gram};
use cellmill_engine::testing::{random_counts, reduce_laws};
use cellmill_engine::{Context, Error, Op, Source, run_stage};

fn stage() -> (StagePlan, cellmill_engine::testing::Matrix) {
    let matrix = random_counts(300, 40, 6);
    let mut plan = StagePlan::new(
        "kept",
        &matrix.source().unwrap(),
        serde_json::json!({"path": "atlas.h5ad"}),
    );
    plan.ops = vec![Op::NormalizeTotal {
        target_sum: 1e4 / 3.0,
    }];
    let select = vec![
        Op::Log1p { base: None },
        Op::SelectGenes {
            genes: (0..40).step_by(4).collect(),
        },
    ];
    plan.reduce = vec![
        ReduceSpec::CellTotals { ops: vec![] },
        ReduceSpec::CountCheck { ops: vec![] },
        ReduceSpec::GeneMoments { ops: vec![] },
        ReduceSpec::Gram { ops: select },
    ];
    plan.stores = vec!["10 genes, kept".to_owned()];
    plan.memory = 1_500_000;
    (plan, matrix)
}

#[test]
fn planned_reductions_are_a_reduction_and_travel() {
    let (plan, matrix) = stage();
    let travelled = StagePlan::from_json(&plan.to_json().unwrap()).unwrap();
    assert_eq!(travelled, plan);
    let source = matrix.source().unwrap();
    travelled.check(&source).unwrap();
    assert!(travelled.check(&source.clone().with_block_rows(7)).is_err());
    let planned = travelled.planned().unwrap();
    let close = |a: &Vec<PlannedOutput>, b: &Vec<PlannedOutput>| {
        assert_eq!((a.len(), &a[..2]), (4, &b[..2]));
    };
    let outputs = reduce_laws(&matrix, &plan.ops, &planned, close);

    let ctx = Context::quiet(2).unwrap();
    let totals = run_stage(&ctx, "totals", &source, &plan.ops, &CellTotals, &()).unwrap();
    assert_eq!(outputs[0], PlannedOutput::CellTotals(totals));
    let all = [&plan.ops[..], plan.reduce[3].ops()].concat();
    let gram = run_stage(&ctx, "gram", &source, &all, &Gram::new(10), &()).unwrap();
    assert_eq!(outputs[3], PlannedOutput::Gram(gram));
}

#[test]
fn plans_of_another_version_or_with_bad_parts_are_refused() {
    let (plan, _) = stage();
    let refuse = |text: String| StagePlan::from_json(&text).unwrap_err();
    let json = plan.to_json().unwrap();
    assert!(
        refuse(json.replacen("\"version\":1", "\"version\":2", 1))
            .to_string()
            .contains("version 2")
    );
    assert!(matches!(
        refuse(json[..json.len() / 2].to_owned()),
        Error::Wire { .. }
    ));
    assert!(matches!(refuse("{}".to_owned()), Error::Wire { .. }));
    assert!(matches!(
        refuse(json.replacen("\"genes\":[0,", "\"genes\":[9,", 1)),
        Error::Parameter(_)
    ));
    assert!(matches!(
        refuse(json.replacen("\"span_blocks\":1", "\"span_blocks\":0", 1)),
        Error::Parameter(_)
    ));
    assert!(matches!(
        refuse(json.replacen("\"rows\":[0,", "\"rows\":[1,", 1)),
        Error::Parameter(_)
    ));
}

#[test]
fn explain_says_how_often_the_file_is_read() {
    let (first, matrix) = stage();
    let mut second = StagePlan::new(
        "project",
        &matrix.source().unwrap(),
        serde_json::Value::Null,
    );
    second.reads_file = false;
    let text = Plan {
        stages: vec![first, second],
    }
    .explain();
    let expected = format!(
        "1 read of the file\n\
         1. kept\n   \
            reads    {0}\n   \
            in       1 blocks, 1 spans\n   \
            does     normalize_total(target_sum=3333.3333333333335)\n   \
            computes totals and numbers of genes of the cells\n   \
            computes whether all values are counts\n   \
            computes mean and variance of the genes\n   \
            computes the Gram matrix of the genes, after log1p > select_genes(10 genes)\n   \
            stores   10 genes, kept\n   \
            needs    1.50 MB of memory, 0 B of scratch space\n\
         2. project\n   \
            reads    {0}\n   \
            in       1 blocks, 1 spans\n   \
            needs    0 B of memory, 0 B of scratch space\n",
        matrix.source().unwrap().describe()
    );
    assert_eq!(text, expected);
}
