//! `unet-vol models`

use std::path::PathBuf;

use clap::{Args, Subcommand};
#[cfg(feature = "embedded")]
use unet_vol::inference::embedded::StepTime;
use unet_vol::inference::verification::{self, Check};
use unet_vol::model::graph::{AxisFacts, Facts};
use unet_vol::model::{Model, ModelSpec};
use unet_vol::{Overwrite, Result};

use super::arguments::{EngineArguments, ModelArguments};
use super::exit::Exit;
use super::output::{self, Verbosity};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// The bundled models.
    List,
    /// What a model expects, what its labels are, and what its graph tells.
    Show {
        /// A bundled model's name, or an ONNX file.
        #[arg(default_value = "brain-mri")]
        name: String,
        /// The description, for an ONNX file that does not carry it.
        #[arg(long)]
        spec: Option<PathBuf>,
        /// The description as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Run a model in every engine of this machine and compare labels; `auto` takes what passes.
    Verify {
        /// A bundled model's name, or an ONNX file.
        #[arg(default_value = "brain-mri")]
        name: String,
        /// The description, for an ONNX file that does not carry it.
        #[arg(long)]
        spec: Option<PathBuf>,
        #[command(flatten)]
        engine: EngineArguments,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// Print instead how long each operator takes in the embedded engine.
        #[cfg(feature = "embedded")]
        #[arg(long)]
        profile: bool,
    },
    /// Write a description into a copy of an ONNX file, so that one file is all a user needs.
    Describe {
        /// The ONNX file.
        model: PathBuf,
        /// The description (TOML or JSON).
        #[arg(long)]
        spec: PathBuf,
        /// The new ONNX file.
        #[arg(short, long)]
        output: PathBuf,
        /// Replace an output that exists.
        #[arg(long)]
        overwrite: bool,
    },
}

pub(crate) fn run(arguments: Arguments, verbosity: Verbosity) -> Result<Exit> {
    match arguments.command.unwrap_or(Action::List) {
        Action::List => list(),
        Action::Show { name, spec, json } => show(&ModelArguments { model: name, spec }.open()?, json),
        #[cfg(feature = "embedded")]
        Action::Verify { name, spec, engine, profile: true, .. } => {
            profile(&ModelArguments { model: name, spec }.open()?, &engine)
        }
        Action::Verify { name, spec, engine, json, .. } => {
            verify(&ModelArguments { model: name, spec }.open()?, &engine, json, verbosity)
        }
        Action::Describe { model, spec, output, overwrite } => {
            let overwrite = if overwrite { Overwrite::Replace } else { Overwrite::Refuse };
            Model::describe(&model, &spec, &output, overwrite)?;
            output::data(format!("model: {}", output::escaped(&output.display().to_string())));
            Ok(Exit::Done)
        }
    }
}

fn list() -> Result<Exit> {
    let mut rows = vec![["name", "version", "license", "use"].map(str::to_owned).to_vec()];
    for name in Model::bundled_names() {
        let model = Model::bundled(name)?;
        let ModelSpec { version, license, intended_use, .. } = model.spec();
        rows.push(vec![name.to_owned(), version.clone(), license.clone(), intended_use.clone()]);
    }
    output::data(output::table(&rows));
    Ok(Exit::Done)
}

fn show(model: &Model, json: bool) -> Result<Exit> {
    let spec = model.spec();
    if json {
        output::json(spec)?;
        return Ok(Exit::Done);
    }
    let row = |key: &str, value: String| vec![key.to_owned(), output::escaped(&value)];
    let mut rows = vec![
        row("name", format!("{} {}", spec.name, spec.version)),
        row("license", spec.license.clone()),
        row("citation", spec.citation.clone()),
        row("use", spec.intended_use.clone()),
        row("sha256", model.sha256().to_owned()),
    ];
    for input in model.graph().inputs() {
        rows.push(row("input", format!("{} {}", input.name, shape(&input.shape))));
    }
    for output in model.graph().outputs() {
        rows.push(row("output", format!("{} {}", output.name, shape(&output.shape))));
    }
    match model.graph().facts() {
        Ok(facts) => rows.extend(facts_rows(&facts)),
        Err(error) => rows.push(row("graph", error.to_string())),
    }
    output::data(output::table(&rows));
    let mut rows = vec![["class", "id", "name", "color"].map(str::to_owned).to_vec()];
    for class in &spec.labels {
        let color = class.rgb.map_or_else(String::new, |[r, g, b]| format!("#{r:02x}{g:02x}{b:02x}"));
        rows.push(vec![class.class.to_string(), class.id.to_string(), output::escaped(&class.name), color]);
    }
    output::data(format!("\n{}", output::table(&rows)));
    Ok(Exit::Done)
}

fn shape(sizes: &[Option<usize>]) -> String {
    let sizes: Vec<_> = sizes.iter().map(|n| n.map_or_else(|| "?".to_owned(), |n| n.to_string())).collect();
    format!("[{}]", sizes.join(", "))
}

/// What the graph tells about sizes, context and cost, for each spatial axis where axes differ.
fn facts_rows(facts: &Facts) -> Vec<Vec<String>> {
    let row = |key: &str, value: String| vec![key.to_owned(), value];
    let each = |text: &dyn Fn(&AxisFacts) -> String| {
        let texts: Vec<_> = facts.axes.iter().map(text).collect();
        if texts.windows(2).all(|pair| pair[0] == pair[1]) {
            texts.into_iter().next().unwrap_or_default()
        } else {
            texts.join("; ")
        }
    };
    let tiles = facts.global.as_ref().map_or_else(
        || format!("exact, with {} voxels of context", each(&|axis| axis.halo[0].max(axis.halo[1]).to_string())),
        |operator| format!("never exact: {operator}"),
    );
    vec![
        row("parameters", facts.parameters.to_string()),
        row("operations", format!("{:.1} kMAC per voxel", facts.operations_per_voxel / 1e3)),
        row("sizes", each(&|axis| axis.sizes.to_string())),
        row("margin", each(&|axis| format!("{} + {}", axis.margin[0], axis.margin[1]))),
        row("stride", each(&|axis| axis.stride.to_string())),
        row("receptive field", each(&|axis| axis.receptive_field.to_string())),
        row("tiles", tiles),
    ]
}

fn verify(model: &Model, engine: &EngineArguments, json: bool, verbosity: Verbosity) -> Result<Exit> {
    let checks = verification::verify_model(model, &engine.options())?;
    if json {
        output::json(&checks)?;
    } else {
        let mut rows = vec![["engine", "agreement", "seconds", ""].map(str::to_owned).to_vec()];
        rows.extend(checks.iter().map(check_row));
        output::data(output::table(&rows));
        output::say(verbosity, "agreement: share of voxels with the reference's label");
    }
    Ok(if checks.iter().any(|check| check.passed == Some(false)) { Exit::Model } else { Exit::Done })
}

/// The steps in their order, and their sum.
#[cfg(feature = "embedded")]
fn profile(model: &Model, engine: &EngineArguments) -> Result<Exit> {
    let steps = verification::profile_model(model, engine.options().precision)?;
    let row = |operator: &str, node: &str, seconds: f64, gflop: f64| {
        let speed = if gflop > 0.0 { format!("{:.0}", gflop / seconds.max(1e-9)) } else { String::new() };
        vec![
            output::escaped(operator),
            output::escaped(node),
            format!("{:.2}", 1e3 * seconds),
            format!("{gflop:.2}"),
            speed,
        ]
    };
    let mut rows = vec![["operator", "node", "ms", "GFLOP", "GFLOP/s"].map(str::to_owned).to_vec()];
    rows.extend(steps.iter().map(|step| row(&step.operator, &step.node, step.seconds, step.gflop)));
    let sum = |value: fn(&StepTime) -> f64| steps.iter().map(value).sum();
    rows.push(row("all", "", sum(|step| step.seconds), sum(|step| step.gflop)));
    output::data(output::table(&rows));
    Ok(Exit::Done)
}

fn check_row(check: &Check) -> Vec<String> {
    let verdict = match check.passed {
        Some(true) => "passed",
        Some(false) => "FAILED",
        None => "not here",
    };
    vec![
        check.engine.clone(),
        check.agreement.map_or_else(|| "-".to_owned(), |share| format!("{:.4} %", 100.0 * share)),
        check.seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.3}")),
        format!("{verdict}: {}", output::escaped(&check.note)),
    ]
}
