//! The wheels that [`install`](super::install) takes, by version and SHA-256, and what it takes out of them.

use super::{Package, Runtime};

/// One wheel of a package index.
pub(super) struct Pin {
    package: Package,
    os: &'static str,
    arch: &'static str,
    /// Name in the package index.
    pub(super) project: &'static str,
    pub(super) version: &'static str,
    /// Platform tag of the wheel.
    pub(super) platform: &'static str,
    pub(super) sha256: &'static str,
}

/// The wheels are those of this Python version; the libraries in them do not depend on it.
pub(super) const PYTHON: &str = "3.12";

const ONNXRUNTIME: &str = "1.32.0";
const ONNXRUNTIME_GPU: &str = "1.31.1";
const OPENVINO: &str = "2026.4.1";

const fn pin(
    package: Package,
    os: &'static str,
    arch: &'static str,
    platform: &'static str,
    sha256: &'static str,
) -> Pin {
    let (project, version) = match package {
        Package::Cpu => ("onnxruntime", ONNXRUNTIME),
        Package::Cuda => ("onnxruntime-gpu", ONNXRUNTIME_GPU),
        Package::OpenVino => ("openvino", OPENVINO),
    };
    Pin { package, os, arch, project, version, platform, sha256 }
}

#[rustfmt::skip]
static PINS: [Pin; 10] = [
    pin(Package::Cpu, "linux", "x86_64", "manylinux_2_28_x86_64", "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8"),
    pin(Package::Cpu, "linux", "aarch64", "manylinux_2_28_aarch64", "e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054"),
    pin(Package::Cpu, "macos", "aarch64", "macosx_14_0_arm64", "d52510bbbcc880c13b826f7d75cdf33ac5cf0bb864d960000fc29ce73f0cb83e"),
    pin(Package::Cpu, "windows", "x86_64", "win_amd64", "efe7456952c243a05a53d5b8732953625144642c2f3989094277f6217f0c0c40"),
    pin(Package::Cuda, "linux", "x86_64", "manylinux_2_28_x86_64", "05d548956197b9d01f59b625de740e0d6be3593f874e241a12dc0362650ecdf7"),
    pin(Package::Cuda, "windows", "x86_64", "win_amd64", "2bb1e9373baba88f6415257f5b6a589d23e23c16004f7d89adf4344eada5749e"),
    pin(Package::OpenVino, "linux", "x86_64", "manylinux_2_28_x86_64", "6b4375c17ddcac83a5180349e2e2bb811185c261066e2a920659892d58ef0e3b"),
    pin(Package::OpenVino, "linux", "aarch64", "manylinux_2_35_aarch64", "82efccb2f9f1bdc7e5a1996e05a3b719ebff9232dd54b44150d6d2e983a86b7d"),
    pin(Package::OpenVino, "macos", "aarch64", "macosx_14_0_arm64", "726ac547b8474a5e7b145bc1ae5a8bb6fbcbb60b79bd9a611c67eec2c74b7a5f"),
    pin(Package::OpenVino, "windows", "x86_64", "win_amd64", "4e04316abff1b99e29b8cbd38deaef9bde4739eba216d982d4b3981e456ecd87"),
];

/// The wheel of a package for this machine.
pub(super) fn for_this_machine(package: Package) -> Option<&'static Pin> {
    let here = (std::env::consts::OS, std::env::consts::ARCH);
    PINS.iter().find(|pin| pin.package == package && (pin.os, pin.arch) == here)
}

impl Pin {
    /// Folder of the unpacked libraries in the cache.
    pub(super) fn folder(&self) -> String {
        format!("{}-{}", self.project, self.version)
    }

    /// True for the members of the wheel that are needed: the runtime itself, what it needs on a CPU (or with CUDA) to
    /// read ONNX, and the licences.
    pub(super) fn needs(&self, member: &str) -> bool {
        let (folder, file) = member.rsplit_once('/').unwrap_or(("", member));
        if folder.contains(".dist-info/licenses") || file.starts_with("ThirdPartyNotices") || file == "LICENSE" {
            return true;
        }
        let is_library = file.ends_with(".dll") || file.ends_with(".dylib") || file.contains(".so");
        let stem = file.strip_prefix("lib").unwrap_or(file);
        let starts = |names: &[&str]| names.iter().any(|name| stem.starts_with(name));
        let named = match self.package {
            Package::Cpu => folder == "onnxruntime/capi" && starts(&["onnxruntime."]),
            Package::Cuda => {
                folder == "onnxruntime/capi"
                    && starts(&["onnxruntime.", "onnxruntime_providers_shared.", "onnxruntime_providers_cuda."])
            }
            Package::OpenVino => {
                let needed = ["openvino.", "openvino_c.", "openvino_onnx_frontend.", "openvino_intel_cpu_plugin."];
                folder == "openvino/libs" && (starts(&needed) || starts(&["openvino_arm_cpu_plugin.", "tbb", "hwloc."]))
            }
        };
        is_library && named
    }
}

/// Folders of our installations that serve a runtime, preferred first.
pub(super) fn folders(runtime: Runtime, accelerated: bool) -> impl Iterator<Item = String> {
    let packages: &[Package] = match (runtime, accelerated) {
        (Runtime::OnnxRuntime, false) => &[Package::Cpu, Package::Cuda],
        (Runtime::OnnxRuntime, true) => &[Package::Cuda, Package::Cpu],
        (Runtime::OpenVino, _) => &[Package::OpenVino],
    };
    packages.iter().filter_map(|&package| for_this_machine(package)).map(Pin::folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_whole_and_take_only_what_is_needed() {
        for pin in &PINS {
            assert!(pin.sha256.len() == 64 && pin.sha256.bytes().all(|b| b.is_ascii_hexdigit()));
        }
        let cpu = &PINS[0];
        assert!(cpu.needs("onnxruntime/capi/libonnxruntime.so.1.32.0"));
        assert!(cpu.needs("onnxruntime/LICENSE"));
        assert!(!cpu.needs("onnxruntime/capi/libonnxruntime_providers_shared.so"));
        assert!(!cpu.needs("onnxruntime/capi/onnxruntime_pybind11_state.cpython-312-x86_64-linux-gnu.so"));
        let openvino = PINS.iter().find(|pin| pin.package == Package::OpenVino).unwrap();
        assert!(openvino.needs("openvino/libs/libtbb.so.12"));
        assert!(!openvino.needs("openvino/libs/libopenvino_intel_gpu_plugin.so"));
        assert!(!openvino.needs("openvino/libs/libopenvino_pytorch_frontend.so.2641"));
    }
}
