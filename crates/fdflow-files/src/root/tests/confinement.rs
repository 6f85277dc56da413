//! Nothing outside the root is ever opened (H67).

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};
use rustix::mount::{MountFlags, UnmountFlags, mount_bind, unmount};

use super::{Scene, Symlinks, WAYS, Way, answer_of, confine, is_root, root_at, skipped};
use crate::root::Root;

use Symlinks::{Follow, Inside, Never};

#[test]
fn files_and_folders_inside_are_opened() {
    let scene = Scene::new();
    for (uri, answer) in [
        ("/", "folder"),
        ("", "folder"),
        ("/file", "holds ours"),
        ("/sub", "folder"),
        ("/sub/", "folder"),
        ("/sub/file", "holds ours below"),
        ("//sub/.//file", "holds ours below"),
        ("/%73ub/%66ile", "holds ours below"),
        ("/sub/none", "NotFound"),
        ("/none/file", "NotFound"),
        ("/file/", "NotAFolder"),
        ("/file/below", "NotAFolder"),
    ] {
        for symlinks in [Never, Inside, Follow] {
            scene.expect(symlinks, uri, answer);
        }
    }
}

#[test]
fn h67_two_dots_are_refused_however_they_are_written() {
    let scene = Scene::new();
    for uri in ["/../outside/file", "/sub/../file", "/sub/..", "/%2e%2e/outside/file", "/.%2E/"] {
        scene.expect(Follow, uri, "Parent");
    }
    for uri in ["/sub%2ffile", "/..%2foutside", "/..%5coutside", "/fi\\le", "/file%00.html"] {
        scene.expect(Follow, uri, "Forbidden");
    }
    scene.expect(Follow, "/%252e%252e/outside/file", "NotFound");
}

#[test]
fn h67_a_child_that_was_never_checked_is_no_way_out_either() {
    let scene = Scene::new();
    for way in WAYS {
        // Where dots hide nothing, and links may lead anywhere.
        let folder = scene.root(way, Follow).shared.folder.try_clone().unwrap();
        let root = Root::by(way, folder, Follow, true).unwrap();
        for child in [&b"../outside/file"[..], b"..", b"file\0"] {
            let name = crate::name::Name::root().child(child);
            let refused = root.open_patiently(&name);
            assert!(matches!(refused, Err(super::OpenError::Refused)), "{refused:?} by {way:?}");
        }
    }
}

#[test]
fn h67_an_absolute_link_is_followed_only_where_all_are() {
    let scene = Scene::new();
    scene.link(scene.outside("file"), "out");
    scene.link(scene.inside("file"), "in");
    for (symlinks, out, inside) in [
        (Never, "Refused", "Refused"),
        (Inside, "Refused", "Refused"),
        (Follow, "holds secret", "holds ours"),
    ] {
        scene.expect(symlinks, "/out", out);
        scene.expect(symlinks, "/in", inside);
    }
}

#[test]
fn h67_a_relative_link_is_followed_while_it_stays_inside() {
    let scene = Scene::new();
    scene.link("../outside/file", "out");
    scene.link("../../outside/file", "sub/out");
    scene.link("../file", "sub/up");
    scene.link("sub/../sub/./deep/../file", "about");
    // Out of the root and in again is not inside the whole way.
    scene.link("../inside/file", "back");
    for (uri, inside, follow) in [
        ("/out", "Refused", "holds secret"),
        ("/sub/out", "Refused", "holds secret"),
        ("/sub/up", "holds ours", "holds ours"),
        ("/about", "holds ours below", "holds ours below"),
        ("/back", "Refused", "holds ours"),
    ] {
        scene.expect(Never, uri, "Refused");
        scene.expect(Inside, uri, inside);
        scene.expect(Follow, uri, follow);
    }
}

#[test]
fn h67_a_folder_that_is_a_link_is_walked_through_by_the_same_rules() {
    let scene = Scene::new();
    scene.link("../outside", "out");
    scene.link("sub", "in");
    scene.link(".", "here");
    for (uri, never, inside, follow) in [
        ("/out/file", "Refused", "Refused", "holds secret"),
        ("/out/", "Refused", "Refused", "folder"),
        ("/out", "Refused", "Refused", "folder"),
        ("/in/file", "Refused", "holds ours below", "holds ours below"),
        ("/in/", "Refused", "folder", "folder"),
        ("/here/here/in/", "Refused", "folder", "folder"),
    ] {
        scene.expect(Never, uri, never);
        scene.expect(Inside, uri, inside);
        scene.expect(Follow, uri, follow);
    }
}

#[test]
fn h67_a_chain_of_links_is_judged_by_each_of_them() {
    let scene = Scene::new();
    scene.link("two", "one");
    scene.link("sub/three", "two");
    scene.link("../../outside/file", "sub/three");
    scene.link("sub/hop", "good");
    scene.link("../file", "sub/hop");
    scene.expect(Inside, "/one", "Refused");
    scene.expect(Never, "/good", "Refused");
    scene.expect(Inside, "/good", "holds ours");
    scene.expect(Follow, "/one", "holds secret");
}

#[test]
fn h67_a_link_with_a_slash_at_its_end_leads_to_folders_only() {
    let scene = Scene::new();
    scene.link("sub/", "folder");
    scene.link("file/", "file_as_folder");
    scene.link("../outside/", "out");
    scene.link("sub/.", "dot");
    scene.answers("/folder", "folder");
    scene.answers("/folder/file", "holds ours below");
    scene.answers("/dot", "folder");
    scene.answers("/file_as_folder", "NotAFolder");
    scene.answers("/out", "Refused");
    scene.answers("/out/", "Refused");
    scene.expect(Never, "/folder/", "Refused");
}

#[test]
fn links_that_lead_nowhere_or_in_circles_are_not_there() {
    let scene = Scene::new();
    scene.link("none", "dangling");
    scene.link("loop", "loop");
    scene.link("pong", "ping");
    scene.link("ping", "pong");
    for symlinks in [Inside, Follow] {
        scene.expect(symlinks, "/dangling", "NotFound");
        scene.expect(symlinks, "/loop", "Refused");
        scene.expect(symlinks, "/ping/file", "Refused");
    }
}

#[test]
fn forty_links_are_followed_and_no_more() {
    let scene = Scene::new();
    scene.link("file", "1");
    for n in 2..=41 {
        scene.link((n - 1).to_string(), &n.to_string());
    }
    scene.answers("/40", "holds ours");
    scene.answers("/41", "Refused");
}

#[test]
fn h67_magic_links_are_never_followed() {
    // /proc itself is served, as a folder that is full of them.
    for way in WAYS {
        for symlinks in [Never, Inside, Follow] {
            let root = root_at("/proc".as_ref(), way, symlinks);
            let here = std::process::id();
            for uri in [format!("/{here}/root/"), format!("/{here}/cwd"), format!("/{here}/exe")] {
                assert_eq!(answer_of(&root, &uri), "Refused", "{uri}, {symlinks}, {way:?}");
            }
            let open = fs::File::open("/proc/self/exe").unwrap();
            let fd = std::os::fd::AsRawFd::as_raw_fd(&open);
            assert_eq!(answer_of(&root, &format!("/{here}/fd/{fd}")), "Refused");
        }
    }
}

#[test]
fn h67_a_link_to_a_magic_link_is_refused_too() {
    let scene = Scene::new();
    scene.link(format!("/proc/{}/exe", std::process::id()), "exe");
    scene.expect(Follow, "/exe", "Refused");
}

#[test]
fn what_is_mounted_inside_the_root_is_served() {
    if !is_root() {
        return skipped("what_is_mounted_inside_the_root_is_served", "not root");
    }
    let scene = Scene::new();
    let deep = scene.inside("sub/deep");
    mount_bind(scene.outside(""), &deep).unwrap();
    scene.link("../../../outside/file", "sub/deep/out");
    scene.answers("/sub/deep/file", "holds secret");
    scene.answers("/sub/deep/out", "Refused");
    scene.answers("/sub/deep/", "folder");
    fs::write(scene.outside("hole"), "").unwrap();
    // A file over a file, and another filesystem.
    mount_bind(scene.outside("file"), scene.inside("file")).unwrap();
    rustix::mount::mount("none", scene.inside("sub"), "tmpfs", MountFlags::empty(), None).unwrap();
    fs::write(scene.inside("sub/fresh"), "of another").unwrap();
    scene.answers("/file", "holds secret");
    scene.answers("/sub/fresh", "holds of another");
    for at in ["sub", "sub/deep", "file"] {
        unmount(scene.inside(at), UnmountFlags::DETACH).unwrap();
    }
}

#[test]
fn the_root_may_be_reached_by_a_link_and_stays_what_it_was() {
    let scene = Scene::new();
    let current = scene.dir.path().join("current");
    std::os::unix::fs::symlink("inside", &current).unwrap();
    for way in WAYS {
        let root = root_at(&current, way, Never);
        assert_eq!(answer_of(&root, "/file"), "holds ours");
        fs::remove_file(&current).unwrap();
        std::os::unix::fs::symlink("outside", &current).unwrap();
        assert_eq!(answer_of(&root, "/file"), "holds ours");
        fs::remove_file(&current).unwrap();
        std::os::unix::fs::symlink("inside", &current).unwrap();
    }
}

#[test]
fn a_root_that_was_deleted_is_empty() {
    for way in WAYS {
        let scene = Scene::new();
        let root = scene.root(way, Inside);
        fs::remove_dir_all(scene.inside("")).unwrap();
        assert_eq!(answer_of(&root, "/file"), "NotFound");
        assert_eq!(answer_of(&root, "/sub/file"), "NotFound");
        fs::create_dir(scene.inside("")).unwrap();
        fs::write(scene.inside("file"), "another folder's").unwrap();
        assert_eq!(answer_of(&root, "/file"), "NotFound");
    }
}

#[test]
fn a_root_that_is_missing_or_a_file_is_an_error() {
    let scene = Scene::new();
    let kind = |path: PathBuf| Root::new(&path, Inside, false).unwrap_err().kind();
    assert_eq!(kind(scene.inside("none")), std::io::ErrorKind::NotFound);
    assert_eq!(kind(scene.inside("file")), std::io::ErrorKind::NotADirectory);
}

#[test]
fn without_openat2_names_are_resolved_step_by_step() {
    let scene = Scene::new();
    scene.link("../outside/file", "out");
    assert_eq!(ways(&scene), Way::Kernel { cached: true });
    for errno in [libc::ENOSYS, libc::EPERM] {
        let way = confine::on_a_thread(|| {
            confine::refuse(&[libc::SYS_openat2], errno);
            let root = Root::new(&scene.inside(""), Inside, false).unwrap();
            assert_eq!(answer_of(&root, "/out"), "Refused");
            assert_eq!(answer_of(&root, "/sub/file"), "holds ours below");
            root.shared.way
        });
        assert_eq!(way, Way::Stepwise);
    }
}

fn ways(scene: &Scene) -> Way {
    Root::new(&scene.inside(""), Inside, false).unwrap().shared.way
}

#[test]
fn hidden_names_are_refused_unless_they_are_wanted() {
    let scene = Scene::new();
    for folder in [".git", ".well-known", "sub/.well-known"] {
        fs::create_dir(scene.inside(folder)).unwrap();
        fs::write(scene.inside(folder).join("file"), folder).unwrap();
    }
    fs::write(scene.inside(".well-known/.secret"), "").unwrap();
    scene.link(".git/file", "shown");
    for uri in ["/.git/file", "/%2egit/file", "/.git/", "/.none", "/sub/.well-known/file"] {
        scene.answers(uri, "Refused");
    }
    scene.answers("/.well-known/file", "holds .well-known");
    scene.answers("/.well-known/.secret", "Refused");
    scene.answers("/shown", "holds .git");
    let root = Root::new(&scene.inside(""), Inside, true).unwrap();
    assert_eq!(answer_of(&root, "/.git/file"), "holds .git");
}

#[test]
fn an_upload_goes_into_a_folder_of_ours_and_into_nothing_hidden() {
    let scene = Scene::new();
    for folder in [".well-known", ".git"] {
        fs::create_dir(scene.inside(folder)).unwrap();
    }
    scene.link("../outside", "out");
    scene.link("sub", "in");
    for way in WAYS {
        let root = scene.root(way, Inside);
        let parent = |uri: &str| super::runtime().block_on(root.open_parent(&super::name(uri)));
        for (uri, last) in [("/new", "new"), ("/sub/new%20one", "new one"), ("/in/new", "new")] {
            let (folder, name) = parent(uri).unwrap();
            assert_eq!(name, last);
            rustix::fs::fsync(folder).unwrap();
        }
        for uri in ["/", "/.new", "/.git/new", "/.well-known/new", "/.well-known", "/out/new"] {
            let refused = parent(uri);
            assert!(matches!(refused, Err(super::OpenError::Refused)), "{uri}: {refused:?}");
        }
        assert!(matches!(parent("/none/new"), Err(super::OpenError::NotFound)));
        assert!(matches!(parent("/file/new"), Err(super::OpenError::NotAFolder)));
    }
    let all = Root::new(&scene.inside(""), Inside, true).unwrap();
    let parent = super::runtime().block_on(all.open_parent(&super::name("/.well-known/new")));
    assert!(parent.is_ok());
}

#[test]
fn a_file_is_unchanged_until_it_is_written_replaced_or_gone() {
    let scene = Scene::new();
    let root = scene.root(Way::Kernel { cached: true }, Inside);
    let asked = super::name("/sub/file");
    let opened = || root.open_patiently(&asked).unwrap();
    let first = opened();
    assert!(root.is_unchanged(&asked, &first.facts));
    assert_eq!(super::runtime().block_on(root.look(&asked)).unwrap(), first.facts);
    fs::write(scene.inside("sub/file"), "longer than it was").unwrap();
    assert!(!root.is_unchanged(&asked, &first.facts));
    let second = opened();
    fs::write(scene.inside("sub/other"), "longer than it was").unwrap();
    fs::rename(scene.inside("sub/other"), scene.inside("sub/file")).unwrap();
    assert!(!root.is_unchanged(&asked, &second.facts));
    let third = opened();
    fs::remove_file(scene.inside("sub/file")).unwrap();
    assert!(!root.is_unchanged(&asked, &third.facts));
}

#[test]
fn h67_the_same_file_by_a_way_that_leads_out_is_not_unchanged() {
    for (symlinks, inside, outside) in
        [(Inside, true, false), (Follow, true, true), (Never, false, false)]
    {
        let scene = Scene::new();
        link_as_if_read(&scene, "sub/file", "link");
        link_as_if_read(&scene, "sub", "folder");
        let root = scene.root(Way::Kernel { cached: true }, symlinks);
        let facts = root.open_patiently(&super::name("/sub/file")).unwrap().facts;
        let unchanged = |uri| root.is_unchanged(&super::name(uri), &facts);
        assert!(unchanged("/sub/file"));
        assert_eq!([unchanged("/link"), unchanged("/folder/file")], [inside; 2], "{symlinks}");
        // The very same file, with a way to it that leads out.
        fs::rename(scene.inside("sub"), scene.outside("sub")).unwrap();
        link_as_if_read(&scene, "../outside/sub", "sub");
        for uri in ["/sub/file", "/link", "/folder/file"] {
            assert_eq!(unchanged(uri), outside, "{uri} with links {symlinks}");
        }
    }
}

/// A link whose access time needs no update: the first who reads one has to wait for that.
fn link_as_if_read(scene: &Scene, to: &str, at: &str) {
    scene.link(to, at);
    let hour_ahead = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600;
    let accessed = Timespec { tv_sec: hour_ahead.try_into().unwrap(), tv_nsec: 0 };
    let times = Timestamps {
        last_access: accessed,
        last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
    };
    utimensat(CWD, scene.inside(at), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}
