"""The build checks as values. The functions in `checks` find violations."""

import re

import msgspec

from polyarch.dockerfile.source import Location


class LintRule(msgspec.Struct, frozen=True):
    """A check. An experimental one runs only if it is named or with `experimental=all`.

    `ours` marks checks that BuildKit does not have.
    """

    name: str
    description: str
    experimental: bool = False
    ours: bool = False

    @property
    def url(self) -> str:
        """The page of BuildKit's documentation about the rule; empty for ours."""
        # Words begin at a capital that a small letter follows: JSONArgsRecommended is json-args-recommended.
        words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", self.name).lower()
        return "" if self.ours else f"https://docs.docker.com/go/dockerfile/rule/{words}/"


class LintFinding(msgspec.Struct, frozen=True):
    """A violation of a rule: `message` quotes the text, `location` has the lines."""

    rule: LintRule
    message: str
    location: Location


STAGE_NAME_CASING = LintRule("StageNameCasing", "Stage names should be lowercase")
FROM_AS_CASING = LintRule("FromAsCasing", "The 'as' keyword should match the case of the 'from' keyword")
NO_EMPTY_CONTINUATION = LintRule(
    "NoEmptyContinuation", "Empty continuation lines will become errors in a future release"
)
CONSISTENT_INSTRUCTION_CASING = LintRule(
    "ConsistentInstructionCasing",
    "All commands within the Dockerfile should use the same casing (either upper or lower)",
)
DUPLICATE_STAGE_NAME = LintRule("DuplicateStageName", "Stage names should be unique")
RESERVED_STAGE_NAME = LintRule("ReservedStageName", "Reserved words should not be used as stage names")
JSON_ARGS_RECOMMENDED = LintRule(
    "JSONArgsRecommended",
    "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
)
MAINTAINER_DEPRECATED = LintRule(
    "MaintainerDeprecated",
    "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
)
UNDEFINED_ARG_IN_FROM = LintRule("UndefinedArgInFrom", "FROM command must use declared ARGs")
WORKDIR_RELATIVE_PATH = LintRule(
    "WorkdirRelativePath",
    "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base "
    "image changes",
)
UNDEFINED_VAR = LintRule("UndefinedVar", "Variables should be defined before their use")
MULTIPLE_INSTRUCTIONS_DISALLOWED = LintRule(
    "MultipleInstructionsDisallowed",
    "Multiple instructions of the same type should not be used in the same stage",
)
LEGACY_KEY_VALUE_FORMAT = LintRule(
    "LegacyKeyValueFormat", "Legacy key/value format with whitespace separator should not be used"
)
INVALID_BASE_IMAGE_PLATFORM = LintRule(
    "InvalidBaseImagePlatform", "Base image platform does not match expected target platform"
)
REDUNDANT_TARGET_PLATFORM = LintRule(
    "RedundantTargetPlatform",
    "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
)
SECRETS_USED_IN_ARG_OR_ENV = LintRule(
    "SecretsUsedInArgOrEnv", "Sensitive data should not be used in the ARG or ENV commands"
)
INVALID_DEFAULT_ARG_IN_FROM = LintRule(
    "InvalidDefaultArgInFrom", "Default value for global ARG results in an empty or invalid base image name"
)
FROM_PLATFORM_FLAG_CONST_DISALLOWED = LintRule(
    "FromPlatformFlagConstDisallowed", "FROM --platform flag should not use a constant value"
)
COPY_IGNORED_FILE = LintRule(
    "CopyIgnoredFile", "Attempting to Copy file that is excluded by .dockerignore", experimental=True
)
INVALID_DEFINITION_DESCRIPTION = LintRule(
    "InvalidDefinitionDescription",
    "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not "
    "intended to be a description comment, add an empty line or comment between the instruction and the comment.",
    experimental=True,
)
EXPOSE_PROTO_CASING = LintRule("ExposeProtoCasing", "Protocol in EXPOSE instruction should be lowercase")
EXPOSE_INVALID_FORMAT = LintRule(
    "ExposeInvalidFormat", "IP address and host-port mapping should not be used in EXPOSE instruction"
)
TARGET_ARG_DEFAULT = LintRule(
    "TargetArgDefault",
    "A default for an automatic platform ARG replaces the platform that the build is for",
    ours=True,
)
HOST_ARCH_PROBE = LintRule(
    "HostArchProbe",
    "In a stage for the build platform, the machine's architecture is not that of the image",
    ours=True,
)
FIXED_ARCH_URL = LintRule(
    "FixedArchUrl",
    "A download or package for one fixed architecture is wrong for every other platform of the build",
    ours=True,
)
UNKNOWN_OWNER = LintRule(
    "UnknownOwner",
    "If the image does not have the user or group in --chown or USER, the files belong to root",
    ours=True,
)
NOTHING_TO_COPY = LintRule(
    "NothingToCopy",
    "A COPY or ADD whose patterns match no file copies nothing",
    ours=True,
)
STAGE_PLATFORM = LintRule(
    "StagePlatform",
    "FROM --platform has no effect on a stage: the stage's own FROM sets its platform",
    ours=True,
)
UNUSABLE_DIRECTORY = LintRule(
    "UnusableDirectory",
    "An octal --chmod without x also applies to directories, which only root can then enter",
    ours=True,
)
SHARED_CACHE = LintRule(
    "SharedCache",
    "A cache mount shared by all platforms should not contain binaries of one of them",
    ours=True,
)
UNKNOWN_STAGE = LintRule(
    "UnknownStage",
    "A --from that is similar to a stage's name, but not equal, means an image",
    ours=True,
)

RULES: tuple[LintRule, ...] = (
    STAGE_NAME_CASING,
    FROM_AS_CASING,
    NO_EMPTY_CONTINUATION,
    CONSISTENT_INSTRUCTION_CASING,
    DUPLICATE_STAGE_NAME,
    RESERVED_STAGE_NAME,
    JSON_ARGS_RECOMMENDED,
    MAINTAINER_DEPRECATED,
    UNDEFINED_ARG_IN_FROM,
    WORKDIR_RELATIVE_PATH,
    UNDEFINED_VAR,
    MULTIPLE_INSTRUCTIONS_DISALLOWED,
    LEGACY_KEY_VALUE_FORMAT,
    INVALID_BASE_IMAGE_PLATFORM,
    REDUNDANT_TARGET_PLATFORM,
    SECRETS_USED_IN_ARG_OR_ENV,
    INVALID_DEFAULT_ARG_IN_FROM,
    FROM_PLATFORM_FLAG_CONST_DISALLOWED,
    COPY_IGNORED_FILE,
    INVALID_DEFINITION_DESCRIPTION,
    EXPOSE_PROTO_CASING,
    EXPOSE_INVALID_FORMAT,
    TARGET_ARG_DEFAULT,
    HOST_ARCH_PROBE,
    FIXED_ARCH_URL,
    UNKNOWN_OWNER,
    NOTHING_TO_COPY,
    STAGE_PLATFORM,
    UNUSABLE_DIRECTORY,
    SHARED_CACHE,
    UNKNOWN_STAGE,
)

BY_NAME = {rule.name: rule for rule in RULES}
