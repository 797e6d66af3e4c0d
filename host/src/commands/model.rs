//! `dnsvet model`: train, list, evaluate, import.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dnsvet_models::data::Sources;
use dnsvet_models::manifest::Manifest;
use dnsvet_models::onnx;
use dnsvet_models::publish::{self, PublishError};
use dnsvet_models::recipe::Recipe;
use dnsvet_models::registry::{Registry, RegistryError};
use dnsvet_models::train::Progress;
use indicatif::{ProgressBar, ProgressStyle};

use super::out::say;

/// Train, list, evaluate and import models.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  dnsvet model list
  dnsvet model train --recipe small --data names --out registry
  dnsvet model train --recipe cascade --data names --out registry --epochs 3 --sample 100000
  dnsvet model evaluate small --data names --json
  dnsvet model import own.onnx --manifest own.json --out registry
  dnsvet model import-keras mlbridge_model.hdf5 --name seed --out registry")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Train on the names in a folder and store the model in a registry
    Train(Train),
    /// List the models of a registry, or those that come with dnsvet
    List {
        /// The registry's folder
        #[arg(long, value_name = "DIR")]
        registry: Option<PathBuf>,
        /// One JSON manifest a line
        #[arg(long)]
        json: bool,
    },
    /// Measure a model on the held-back names of a folder
    Evaluate {
        /// The model's name
        name: String,
        /// The registry's folder
        #[arg(long, value_name = "DIR")]
        registry: Option<PathBuf>,
        /// The folder with the names
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Set calibration and thresholds of a trained model anew; its weights stay
    Calibrate {
        /// The model's name
        name: String,
        /// The folder with the names that it was trained on
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// The registry's folder, read and written
        #[arg(long, value_name = "REGISTRY")]
        out: PathBuf,
    },
    /// Check an ONNX file against its manifest and store both in a registry
    Import {
        /// The graph: input `tokens`, int64 [n, length]; output float [n] or [n, 2]
        onnx: PathBuf,
        /// Its manifest
        #[arg(long, value_name = "FILE")]
        manifest: PathBuf,
        /// The registry's folder
        #[arg(long, value_name = "REGISTRY")]
        out: PathBuf,
    },
    /// Convert the seed's CNN from the file that Keras wrote
    ImportKeras {
        /// The .hdf5 file
        file: PathBuf,
        /// What to call it
        #[arg(long, default_value = "seed")]
        name: String,
        /// The registry's folder
        #[arg(long, value_name = "REGISTRY")]
        out: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Train {
    /// What to train; cascade is small and then large
    #[arg(long, value_enum)]
    recipe: Kind,
    /// The folder with benign-train-meta.tsv.gz and malicious-train.tsv.gz
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The registry's folder
    #[arg(long, value_name = "REGISTRY")]
    out: PathBuf,
    /// Passes over the names [default: the recipe's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    epochs: Option<u32>,
    /// Names a step [default: the recipe's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: Option<u32>,
    /// Training names at most, half of them malicious [default: the recipe's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(100..))]
    sample: Option<u32>,
    /// Which sources to learn from: all in the folder, or those whose licence lets the model be given away
    #[arg(long, value_enum, default_value_t = TakenFrom::All)]
    sources: TakenFrom,
    /// Where all random choices start; the same seed gives the same bytes [default: the recipe's]
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    Small,
    Large,
    Cascade,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum TakenFrom {
    All,
    Shippable,
}

/// Why the work failed.
#[derive(Debug, thiserror::Error)]
pub enum ModelCommandError {
    /// A file can't be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The manifest is not one.
    #[error("{}: {source}; examples/own-model/README.md says what a manifest holds", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: serde_json::Error,
    },
    /// JSON could not be written.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A model of the registry can't be used.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// No artifact came about.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Does what was asked; what was made goes to standard output, progress to standard error.
pub fn run(args: Args) -> Result<ExitCode, ModelCommandError> {
    match args.what {
        What::Train(train) => run_training(&train)?,
        What::List { registry, json } => list(registry.as_deref(), json)?,
        What::Evaluate { name, registry, data, json } => {
            let metrics = publish::evaluate(&open(registry.as_deref())?.get(&name)?, &data)?;
            if json {
                say!("{}", serde_json::to_string(&metrics)?);
            } else {
                say!("{}", serde_json::to_string_pretty(&metrics)?);
            }
        }
        What::Calibrate { name, data, out } => {
            stored(&publish::calibrate(&Registry::open(&out)?.get(&name)?, &data, &out)?, &out);
        }
        What::Import { onnx, manifest, out } => {
            let parsed = serde_json::from_slice(&read(&manifest)?)
                .map_err(|source| ModelCommandError::Manifest { path: manifest, source })?;
            let (manifest, latency) = publish::import(read_graph(&onnx)?, parsed, &out)?;
            eprintln!("{}: {latency}", manifest.id);
            stored(&manifest, &out);
        }
        What::ImportKeras { file, name, out } => stored(&publish::keras(&read(&file)?, &name, &out)?, &out),
    }
    Ok(ExitCode::SUCCESS)
}

fn run_training(train: &Train) -> Result<(), ModelCommandError> {
    let recipes = match train.recipe {
        Kind::Small => vec![Recipe::small()],
        Kind::Large => vec![Recipe::large()],
        Kind::Cascade => vec![Recipe::small(), Recipe::large()],
    };
    for mut recipe in recipes {
        recipe.epochs = train.epochs.map_or(recipe.epochs, |epochs| epochs as usize);
        recipe.batch = train.batch.map_or(recipe.batch, |batch| batch as usize);
        recipe.sample = train.sample.map_or(recipe.sample, |sample| sample as usize);
        recipe.seed = train.seed.unwrap_or(recipe.seed);
        recipe.sources = match train.sources {
            TakenFrom::All => Sources::All,
            TakenFrom::Shippable => Sources::Shippable,
        };
        let bar = ProgressBar::new(0);
        let template = "{prefix} epoch {msg} [{bar:30}] {human_pos}/{human_len} names, {per_sec}";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_prefix(recipe.name);
        let manifest = publish::train(&recipe, &train.data, &train.out, &mut |progress| match progress {
            Progress::Step { member, epoch, names, of, loss } => {
                bar.set_length(of as u64);
                bar.set_position(names as u64);
                bar.set_message(format!("{epoch} of the {member}, loss {loss:.4}"));
            }
            Progress::Epoch { epoch, loss, validation_loss, validation_auc, best } => {
                bar.suspend(|| {
                    eprintln!(
                        "{} epoch {epoch}: loss {loss:.4}, validation loss {validation_loss:.4}, AUC {validation_auc:.4}{}",
                        recipe.name,
                        if best { "" } else { " (not better)" }
                    );
                });
            }
        })?;
        bar.finish_and_clear();
        stored(&manifest, &train.out);
    }
    Ok(())
}

fn list(registry: Option<&Path>, json: bool) -> Result<(), ModelCommandError> {
    let registry = open(registry)?;
    for name in registry.names()? {
        let manifest = registry.get(&name)?.manifest;
        if json {
            say!("{}", serde_json::to_string(&manifest)?);
            continue;
        }
        let auc = manifest.metrics.as_ref().map_or("-".into(), |metrics| format!("{:.4}", metrics.clean_auc));
        let limits = &manifest.thresholds;
        say!(
            "{}\t{} parameters\tAUC {auc}\tallow below {:.6}, block above {:.6}",
            manifest.id,
            manifest.parameters,
            limits.allow_below,
            limits.block_above
        );
    }
    Ok(())
}

fn open(registry: Option<&Path>) -> Result<Registry, RegistryError> {
    registry.map_or_else(|| Ok(Registry::bundled()), Registry::open)
}

fn stored(manifest: &Manifest, registry: &Path) {
    say!("{}\t{}", manifest.id, registry.join(&manifest.name).display());
}

fn read(path: &Path) -> Result<Vec<u8>, ModelCommandError> {
    fs::read(path).map_err(|source| ModelCommandError::Read { path: path.to_owned(), source })
}

/// An ONNX file, up to a byte more than is taken, so that it is refused as too large and never held whole.
fn read_graph(path: &Path) -> Result<Vec<u8>, ModelCommandError> {
    let failed = |source| ModelCommandError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(onnx::MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
