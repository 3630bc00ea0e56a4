# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2164

part_build()
{
	cd src
	cc_archive libyyjson.a yyjson.c
	install_to include yyjson.h
	install_to lib libyyjson.a
}
