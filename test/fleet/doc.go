// Package fleet boots real Debian machines for end-to-end tests: each has its own systemd, packages, accounts, network
// and boot id, is reached as root through [Console.Exec], and is rebooted, unplugged and cut off as a test pleases.
//
// A [Machine] is a systemd-nspawn container on an overlay of one image that is built once ([Image]). Machines of one
// [Network] reach each other and one network namespace for programs on this side ([Network.Host]), and nothing else.
// They install packages with the real apt-get from a repository inside the image.
// A [VM] is the same Debian with a kernel of its own, for modules, disks, swap and what else a container cannot have.
//
// All of it hangs on the process of the test: mounts and networks live in namespaces that only it holds, and the
// machines die with it, however it dies. What a killed run leaves behind are a directory and an empty control group;
// the next run removes them once the lock that run held is free.
//
// The package refuses to touch the network, the mounts or the services of the computer it runs on, to let a packet out,
// and to skip in silence: see [Require]. It works on Linux only; tests that use it carry that build tag.
package fleet
