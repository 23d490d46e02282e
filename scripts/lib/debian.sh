# shellcheck shell=bash
# Files of Debian packages for another release or architecture, without installing them. Sourced after progress.sh.

: "${log:?}"

# debian_release VERSION: the release that has this Python.
debian_release() {
  case $1 in
    3.11) echo bookworm ;;
    3.13) echo trixie ;;
    *) return 1 ;;
  esac
}

# debian_mirror: where this system gets Debian from, by its apt sources (of which a Raspberry Pi has others too).
debian_mirror() {
  # shellcheck disable=SC2016 # apt's own variables
  apt-get indextargets --format '$(SITE) $(CODENAME) $(ORIGIN)' 'Created-By: Packages' |
    awk '$2 ~ /^[a-z]+$/ && ($3 == "Debian" || $3 == "$(ORIGIN)") {print $1; exit}'
}

# unpack_packages FOLDER RELEASE ARCHITECTURE PACKAGE...: unpacks the packages, not what they depend on, into FOLDER.
# apt checks their signatures as always, but with sources, lists and a cache of its own: neither root nor a
# change of this system's sources is needed.
unpack_packages() {
  local folder=$1 release=$2 architecture=$3 own mirror options deb
  shift 3
  [[ ! -e $folder/.whole ]] || return 0
  mirror=${DEBIAN_MIRROR:-$(debian_mirror)}
  [[ -n $mirror ]] || fail "this system's apt sources name no mirror of Debian: set DEBIAN_MIRROR to the URL of one"
  own=$folder/.apt
  rm -rf "$folder"
  mkdir -p "$own"/{lists/partial,cache/archives/partial,debs}
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" >"$own/sources"
  options=(
    -o "Dir::Etc::SourceList=$own/sources" -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
    -o "Dir::State::Lists=$own/lists" -o Dir::State::Status=/dev/null -o "Dir::Cache=$own/cache"
    -o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture"
    # Root's apt would download as a user that can't write here.
    -o "APT::Sandbox::User=$(id -un)"
  )
  logged "apt-get update ($release $architecture)" apt-get "${options[@]}" update &&
    logged "apt-get download ($release $architecture)" \
      env --chdir="$own/debs" apt-get "${options[@]}" download "$@" ||
    explain_and_fail "could not get $* of $release $architecture"
  for deb in "$own"/debs/*.deb; do dpkg-deb -x "$deb" "$folder"; done
  rm -rf "$own"
  touch "$folder/.whole"
}
