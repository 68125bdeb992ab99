package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	basecompatibility "k8s.io/component-base/compatibility"
	"k8s.io/component-base/featuregate"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/metrics/prometheus/workqueue"
	"k8s.io/component-base/version/verflag"
	aggregatorapiserver "k8s.io/kube-aggregator/pkg/apiserver"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"

	"hk3s.dev/lab-kube/supervisor"
)

// newAPIServerCommand is kube-apiserver's command with the supervisor's flags added and the
// supervisor in front of its handlers, on the same port, as k3s serves both.
func newAPIServerCommand() *cobra.Command {
	run := options.NewServerRunOptions()
	settings := &supervisor.Settings{}
	ctx := genericapiserver.SetupSignalContext()
	registry := run.GenericServerRunOptions.ComponentGlobalsRegistry
	gates := registry.FeatureGateFor(basecompatibility.DefaultKubeComponent)

	command := &cobra.Command{
		Use:          "apiserver",
		Short:        "kube-apiserver with k3s's supervisor paths on the same port",
		SilenceUsage: true,
		Args:         cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			verflag.PrintAndExitIfRequested()
			if err := registry.Set(); err != nil {
				return err
			}
			rest.SetDefaultWarningHandler(rest.NoWarnings{})
			if err := logsapi.ValidateAndApply(run.Logs, gates); err != nil {
				return err
			}
			cliflag.PrintFlags(command.Flags())
			completed, err := run.Complete(ctx)
			if err != nil {
				return err
			}
			if problems := completed.Validate(); len(problems) != 0 {
				return fmt.Errorf("invalid options: %v", problems)
			}
			gates.(featuregate.MutableFeatureGate).AddMetrics()
			registry.AddMetrics()
			return serve(ctx, completed, settings)
		},
	}
	command.SetContext(ctx)

	named := run.Flags()
	verflag.AddFlags(named.FlagSet("global"))
	globalflag.AddGlobalFlags(named.FlagSet("global"), command.Name(), logs.SkipLoggingConfigurationFlags())
	settings.AddFlags(named.FlagSet("k3s"))
	for _, set := range named.FlagSets {
		command.Flags().AddFlagSet(set)
	}
	return command
}

// serve runs the API server until ctx ends.
func serve(ctx context.Context, completed options.CompletedOptions, settings *supervisor.Settings) error {
	config, err := app.NewConfig(completed)
	if err != nil {
		return err
	}
	if err := settings.MapDials(config.KubeAPIs); err != nil {
		return err
	}
	ready, err := config.Complete()
	if err != nil {
		return err
	}
	server, err := app.CreateServerChain(ready)
	if err != nil {
		return err
	}
	if err := putSupervisorInFront(server, config, settings); err != nil {
		return err
	}
	prepared, err := server.PrepareRun()
	if err != nil {
		return err
	}
	return prepared.Run(ctx)
}

func putSupervisorInFront(server *aggregatorapiserver.APIAggregator, config *app.Config, settings *supervisor.Settings) error {
	generic := config.KubeAPIs.ControlPlane.Generic
	loopback := rest.CopyConfig(generic.LoopbackClientConfig)
	loopback.QPS = -1 // no client-side limit: a hundred nodes may join at once
	client, err := kubernetes.NewForConfig(loopback)
	if err != nil {
		return err
	}
	passwords := supervisor.NewPasswords(client, config.KubeAPIs.ControlPlane.VersionedInformers)
	handler, err := supervisor.New(settings, generic.Authentication.Authenticator, client, passwords)
	if err != nil {
		return err
	}
	chain := server.GenericAPIServer.Handler
	chain.FullHandlerChain = handler.InFrontOf(chain.FullHandlerChain)
	return server.GenericAPIServer.AddPostStartHook("k3s-node-passwords", func(hook genericapiserver.PostStartHookContext) error {
		go passwords.Run(hook)
		return nil
	})
}
