//! The bundled model from end to end.

use std::sync::{Arc, Mutex};

use unet_vol::formats::{self, ReadOptions};
use unet_vol::inference::embedded::Engine;
use unet_vol::inference::{EngineChoice, Options, Precision, Predictor, TensorView};
use unet_vol::model::{Model, graph::Graph};
use unet_vol::pipeline::{Cancel, Pipeline, PipelineBuilder, Stage};
use unet_vol::{Affine, ErrorKind, Grid, Volume};

use crate::support::{repository, shared};

fn builder() -> PipelineBuilder {
    let mut options = Options::default();
    options.engine = EngineChoice::Embedded;
    Pipeline::builder(Model::bundled("brain-mri").unwrap()).engine(options)
}

#[test]
fn the_stored_head_gets_the_stored_classes() {
    let model = Model::bundled("brain-mri").unwrap();
    let golden = model.golden().unwrap().unwrap();
    let engine = Engine::new(Graph::parse(model.bytes().to_vec()).unwrap(), Precision::Fp32).unwrap();
    let voxels = golden.input.len();
    let mut scores = vec![0.0; 33 * voxels];
    engine.predict(TensorView { shape: &golden.shape, data: &golden.input }, &mut scores).unwrap();
    let (mut best, mut classes) = (scores[..voxels].to_vec(), vec![0_u16; voxels]);
    for class in 1..33_u16 {
        for (n, &score) in scores[usize::from(class) * voxels..][..voxels].iter().enumerate() {
            if score > best[n] {
                (best[n], classes[n]) = (score, class);
            }
        }
    }
    let apart = classes.iter().zip(&golden.classes).filter(|(a, b)| a != b).count();
    assert!(apart * 10_000 < voxels, "{apart} of {voxels} voxels differ");
}

/// FreeSurfer's aseg ids as the model has them: choroid plexus is ventricle, corpus callosum and hypointensities are the
/// nearest white matter, other ids that the model does not know are background.
fn freesurfer_to_model(reference: &Volume<u16>, known: &[u16]) -> Vec<u16> {
    let shape = reference.grid().shape();
    let seg = reference.view();
    let nearest_white_matter = |at: [usize; 3]| {
        for reach in [3_usize, 10, 40] {
            let near = |a: usize| at[a].saturating_sub(reach)..(at[a] + reach + 1).min(shape[a]);
            let mut best = (usize::MAX, 0);
            for (k, j, i) in near(2).flat_map(|k| near(1).flat_map(move |j| near(0).map(move |i| (k, j, i)))) {
                let distance = [i, j, k].iter().zip(at).map(|(a, b)| a.abs_diff(b).pow(2)).sum();
                if matches!(seg[[i, j, k]], 2 | 41) && distance < best.0 {
                    best = (distance, seg[[i, j, k]]);
                }
            }
            if best.0 <= reach * reach {
                return best.1;
            }
        }
        0
    };
    let id = |n: usize| match reference.data()[n] {
        31 => 4,
        63 => 43,
        77 | 80 | 251..=255 => nearest_white_matter([n % shape[0], n / shape[0] % shape[1], n / shape[0] / shape[1]]),
        id if known.contains(&id) => id,
        _ => 0,
    };
    (0..reference.data().len()).map(id).collect()
}

/// Dice of each id, which both have.
pub(crate) fn dice(a: &[u16], b: &[u16], id: u16) -> f64 {
    let count = |ids: &[u16]| ids.iter().filter(|&&other| other == id).count();
    let both = a.iter().zip(b).filter(|(a, b)| **a == id && **b == id).count();
    2.0 * both as f64 / (count(a) + count(b)) as f64
}

/// What `python/training/evaluate_program.py` measured on the bundled weights: the one place for figures of the model.
fn figures() -> serde_json::Value {
    crate::support::json(repository("src/model/weights/brain-mri.figures.json"))
}

#[test]
fn a_real_head_is_labelled_as_well_as_the_model_card_says() {
    let files = ["data/brain/oasis_t1.nii.gz", "data/brain/oasis_seg.nii.gz"].map(shared);
    let [Some(image), Some(reference)] = files else { return };
    let study = formats::read(image, &ReadOptions::new()).unwrap().volume;
    let reference = formats::read_labels(reference, &ReadOptions::new()).unwrap().labels;
    let outcome = builder().build().unwrap().segment(&[study]).unwrap();
    assert!(reference.grid().matches(outcome.labels.grid()));
    let ids: Vec<u16> = outcome.labels.table.labels().iter().map(|label| label.id).collect();
    let wanted = freesurfer_to_model(&reference.ids, &ids);
    let figures = &figures()["oasis"];
    let stated = figures["dice"].as_object().unwrap();
    assert_eq!(stated.len(), 31);
    let mut sum = 0.0;
    for (id, stated) in stated {
        let found = dice(outcome.labels.ids.data(), &wanted, id.parse().unwrap());
        let stated = stated.as_f64().unwrap();
        assert!((found - stated).abs() <= 0.002, "label {id}: Dice {found}, stated {stated}");
        sum += found;
    }
    let (mean, stated) = (sum / 31.0, figures["mean"].as_f64().unwrap());
    assert!((mean - stated).abs() < 0.001, "mean Dice {mean}, stated {stated}");
}

#[test]
fn the_synthetic_head_is_labelled_as_before() {
    let steps: Arc<Mutex<Vec<Stage>>> = Arc::default();
    let seen = Arc::clone(&steps);
    let cancel = Cancel::new();
    let pipeline = builder().progress(Arc::new(move |step| seen.lock().unwrap().push(step.stage)));
    let pipeline = pipeline.cancel(cancel.clone()).build().unwrap();
    let segmentation = pipeline.run(repository("testdata/synthetic_head.nii.gz")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    segmentation.save(dir.path().join("labels.nii.gz")).unwrap();
    let mut stages = steps.lock().unwrap().clone();
    stages.dedup();
    assert_eq!(stages, [Stage::Read, Stage::Prepare, Stage::Network, Stage::Postprocess, Stage::Write]);
    cancel.cancel();
    let error = segmentation.save(dir.path().join("late.nii.gz")).unwrap_err();
    assert_eq!((error.kind(), dir.path().join("late.nii.gz").exists()), (ErrorKind::Interrupted, false));
    let reference = repository("testdata/synthetic_head_seg.nii.gz");
    let reference = formats::read_labels(reference, &ReadOptions::new()).unwrap().labels;
    let ids = segmentation.labels().table.labels().iter().map(|label| label.id).filter(|&id| id != 24);
    let all: Vec<f64> = ids.map(|id| dice(segmentation.labels().ids.data(), reference.ids.data(), id)).collect();
    assert_eq!(all.len(), 31);
    let mean = all.iter().sum::<f64>() / 31.0;
    let stated = figures()["synthetic_head"].as_f64().unwrap();
    assert!((mean - stated).abs() < 0.002, "mean Dice {mean}, stated {stated}");
}

#[test]
fn volumes_that_are_no_heads_are_labelled_without_a_panic() {
    let pipeline = builder().build().unwrap();
    let mut tried = 0;
    for (shape, spacing) in [
        ([2, 2, 2], [1.0, 1.0, 1.0]),
        ([1, 1, 1], [0.1, 0.1, 0.1]),
        ([60, 50, 1], [1.0, 1.0, 5.0]),
        ([1, 40, 30], [2.0, 2.0, 2.0]),
        ([30, 40, 20], [0.1, 0.1, 0.1]),
        ([9, 8, 7], [10.0, 10.0, 10.0]),
        ([3, 200, 2], [0.01, 0.3, 60.0]),
    ] {
        let grid = Grid::new(shape, Affine::from_spacing(spacing, [1.0, -2.0, 3.0]).unwrap()).unwrap();
        let values = (0..grid.voxels()).map(|n| (n * 7919 % 1009) as f32).collect();
        let outcome = pipeline.segment(&[Volume::new(grid, values).unwrap()]).unwrap();
        assert_eq!(outcome.labels.grid(), &grid);
        tried += 1;
    }
    assert_eq!(tried, 7);
}

#[test]
fn a_file_of_several_volumes_is_refused_with_the_way_to_name_one() {
    let error = builder().build().unwrap().run(repository("testdata/nifti/four_dimensions.nii")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.advice().unwrap().contains("--volume"), "{error}");
}

/// The stored case as a study on the network's own grid, mirrored or not: memory runs S, A, R.
fn stored_head(mirrored: bool) -> Volume {
    let golden = Model::bundled("brain-mri").unwrap().golden().unwrap().unwrap();
    let shape = [golden.shape[4], golden.shape[3], golden.shape[2]];
    let affine = Affine::from_rows([[0.0, 0.0, 2.0, 0.0], [0.0, 2.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0]]);
    let mut data = golden.input;
    if mirrored {
        let sagittal = shape[0] * shape[1];
        data = data.chunks(sagittal).rev().flatten().copied().collect();
    }
    Volume::new(Grid::new(shape, affine.unwrap()).unwrap(), data).unwrap()
}

#[test]
fn averaged_over_flips_a_mirrored_head_gets_the_mirrored_labels_exactly() {
    let spec = Model::bundled("brain-mri").unwrap().spec().clone();
    let mut other_side: Vec<u16> = (0..100).collect();
    for [a, b] in spec.mirror.unwrap().swap {
        let id = |class: usize| spec.labels.iter().find(|label| label.class == class).unwrap().id;
        other_side.swap(usize::from(id(a)), usize::from(id(b)));
    }
    let segment =
        |builder: PipelineBuilder, mirrored| builder.build().unwrap().segment(&[stored_head(mirrored)]).unwrap();
    let plain = segment(builder(), false);
    let head = segment(builder().tta(true), false);
    let mirrored = segment(builder().tta(true), true);
    assert_eq!((plain.plan.passes, head.plan.passes), (1, 2));
    assert!(head.plan.peak_bytes > plain.plan.peak_bytes);
    let [ni, nj, _] = head.labels.grid().shape();
    let back: Vec<u16> = mirrored.labels.ids.data().chunks(ni * nj).rev().flatten().copied().collect();
    let back: Vec<u16> = back.into_iter().map(|id| other_side[usize::from(id)]).collect();
    assert!(head.labels.ids.data() == back, "the mirrored head has other labels");
    let differ = plain.labels.ids.data().iter().zip(head.labels.ids.data()).filter(|(a, b)| a != b).count();
    assert!(differ > 100 && differ * 20 < back.len(), "{differ} voxels changed");
}

#[test]
fn a_model_that_does_not_say_which_classes_change_sides_is_not_mirrored() {
    let mut spec = Model::bundled("brain-mri").unwrap().spec().clone();
    spec.mirror = None;
    let bytes = Model::bundled("brain-mri").unwrap().bytes().to_vec();
    let model = Model::from_bytes(bytes.into(), None, Some(spec)).unwrap();
    let error = Pipeline::builder(model).tta(true).build().unwrap().plan(stored_head(false).grid()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
}

#[test]
fn what_is_no_brain_gets_no_label_and_a_warning() {
    let pipeline = builder().build().unwrap();
    let grid = Grid::new([120, 110, 100], Affine::from_spacing([1.5; 3], [0.0; 3]).unwrap()).unwrap();
    let ball = |n: usize| {
        let at = [n % 120, n / 120 % 110, n / 120 / 110];
        let far = at.iter().zip([60, 55, 50]).map(|(&a, b)| a.abs_diff(b).pow(2)).sum::<usize>();
        if far < 45 * 45 { 100.0 } else { 0.0 }
    };
    let noise = |n: usize| (n.wrapping_mul(2_654_435_761) >> 8 & 0xff) as f32;
    let studies: [&dyn Fn(usize) -> f32; 4] = [&|_| 0.0, &|_| 7.0, &ball, &noise];
    for (number, value) in studies.iter().enumerate() {
        let study = Volume::new(grid, (0..grid.voxels()).map(value).collect()).unwrap();
        let outcome = pipeline.segment(&[study]).unwrap();
        let codes: Vec<_> = outcome.warnings.iter().map(|warning| warning.code).collect();
        assert!(outcome.labels.is_empty() && codes.contains(&"not-found"), "{number}: {codes:?}");
    }
}

#[test]
fn a_head_comes_with_a_score_for_each_structure_and_without_a_warning() {
    let segmentation = builder().build().unwrap().run(repository("testdata/synthetic_head.nii.gz")).unwrap();
    assert!(segmentation.warnings().is_empty(), "{:?}", segmentation.warnings());
    let scores: Vec<f64> = segmentation.statistics.labels.iter().map(|l| l.confidence.unwrap().score).collect();
    assert_eq!(scores.len(), 32);
    assert!(scores.iter().all(|score| (0.3..1.0).contains(score)), "{scores:?}");
}
