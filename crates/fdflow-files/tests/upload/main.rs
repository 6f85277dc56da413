//! Uploads over real sockets, to real disks.

mod clients;
mod disks;
mod drop_box;
mod forms;
mod leftovers;
mod names;
mod resumed;
mod whole;
