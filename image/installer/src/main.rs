//! Writes the firmware image from a USB stick onto the disk that somebody at the screen or the serial line chooses.

mod console;
mod dialogue;
mod disk;
mod gpt;
mod machine;
mod material;
mod plan;
mod state;
mod write;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use console::Console;
use dialogue::{Dialogue, Next};
use disk::{Disk, Found};
use material::Material;
use write::{InstallError, Source};

/// What the stick's first file system has of the image.
const LAYOUT: &str = "/layout";
/// How long the kernel may take to find the stick, in tenths of a second.
const PATIENCE: u32 = 600;

fn main() -> ExitCode {
    let mut console = Console::open();
    match run(&mut console) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console.say(&format!("The installer cannot go on: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Until a disk is written, and somebody has heard so.
fn run(console: &mut Console) -> Result<(), InstallError> {
    let material = Material::open(Path::new(LAYOUT)).map_err(InstallError::Stick)?;
    let stick = stick().map_err(InstallError::Stick)?;
    let version = &material.manifest.content.version;
    console.say(&format!("\n  Causeway {version}: installer\n"));
    loop {
        let Some((disk, keep)) = choose(console, &material) else {
            return Ok(());
        };
        console.say(&format!("Writing to {}:", disk.name));
        match install(console, &disk, keep, (&material, &stick)) {
            Ok(()) => break,
            Err(error) => console.say(&format!(
                "Disk {} is not finished: {error}.\n{}\n",
                disk.name,
                match keep {
                    true => "Its configuration is as it was.",
                    false => "There is no Causeway on it.",
                }
            )),
        }
    }
    console.forget();
    console.say(&format!(
        "Done: Causeway {version} was written and read back. Remove the stick, then press Enter to start from the disk:"
    ));
    console.hear();
    Ok(())
}

/// The partition with the system, once the kernel has found it.
fn stick() -> std::io::Result<PathBuf> {
    for _ in 0..PATIENCE {
        if let Some(stick) = machine::stick() {
            return Ok(stick);
        }
        thread::sleep(Duration::from_millis(100));
    }
    Err(std::io::ErrorKind::NotFound.into())
}

/// The disk that somebody chose, and whether its configuration is kept; none when nobody can choose.
fn choose(console: &mut Console, material: &Material) -> Option<(Disk, bool)> {
    loop {
        let mut dialogue = Dialogue::new(machine::disks(material), material);
        console.say(&dialogue.opening());
        loop {
            match dialogue.hears(&console.hear()?) {
                Next::Ask(text) => console.say(&text),
                Next::Look => break,
                Next::Write(number, keep) => return Some((dialogue.disk(number)?.clone(), keep)),
            }
        }
    }
}

fn install(
    console: &mut Console,
    disk: &Disk,
    keep: bool,
    (material, stick): (&Material, &Path),
) -> Result<(), InstallError> {
    let writes = match &disk.found {
        Found::Causeway(_, Ok(kept)) if keep => {
            state::keep(&disk.name, kept, &material.manifest.content)?;
            plan::beside(material, kept)
        }
        Found::Empty | Found::Data | Found::Partitions | Found::Causeway(..) => {
            plan::whole(material, disk.octets)
        }
    };
    let mut progress = |percent| console.say(&format!("  {percent} % written"));
    let mut source = Source {
        material,
        stick,
        progress: &mut progress,
    };
    write::perform(&Path::new("/dev").join(&disk.name), &writes, &mut source)?;
    if !keep && state::seed(&disk.name)? {
        console.say("The first configuration comes from the volume CAUSEWAY.");
    }
    Ok(())
}
